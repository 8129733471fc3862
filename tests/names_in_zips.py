"""How many names in zips are read right, by language and encoding: `python -m tests.names_in_zips`.

Each archive holds 1, 2, 4 or 8 names of one language in one encoding, none of them marked. A guess is right where every
character of every name is.
"""

import random
from collections import Counter

from engine.corpus.walk.zip_names import RawName, decode_names

NAMES: dict[str, tuple[tuple[str, ...], str]] = {
    "Chinese": (("gbk",), """
        合同/付款条款.txt | 新建文件夹/说明.txt | 项目计划书.docx.txt | 2024年财务报告.csv | 照片/北京.txt |
        会议记录.md | 用户手册.txt | 数据分析/结果.csv | 简历.txt | 使用说明.txt | 工作总结/第三季度.txt |
        测试.txt | 毕业论文(最终版).txt | 通知.md | 发票/三月.csv | 图片/截图 1.txt | 资料.txt | 名单.txt |
        报告.txt | 通知书.txt | 发票.txt | 照片.txt | 图片.txt | 方案/第一版.txt | 需求文档.txt |
        接口说明.txt | 软件/安装.txt | 工资表.csv | 备份.txt | 日记.txt | 朱镕基.txt | 曾国藩传.txt | 喆.txt |
        笔记.txt | 翻译.txt | 下载.txt
        """),
    "Chinese, traditional": (("big5",), """
        合約/功能.txt | 新增資料夾/說明.txt | 專案計畫書.txt | 2024年財務報告.csv | 照片/臺北.txt |
        會議記錄.md | 使用者手冊.txt | 資料分析/結果.csv | 履歷表.txt | 成功許願.txt | 工作總結/第三季.txt |
        測試.txt | 畢業論文(最終版).txt | 通知.md | 發票/三月.csv | 圖片/螢幕擷取 1.txt | 資料.txt | 名單.txt |
        報告.txt | 通知書.txt | 發票.txt | 照片.txt | 圖片.txt | 企劃/第一版.txt | 需求文件.txt |
        介面說明.txt | 軟體/安裝.txt | 薪資表.csv | 備份.txt | 日記.txt | 筆記.txt | 翻譯.txt | 下載.txt |
        許功蓋.txt | 餐廳.txt | 珮瑜.txt
        """),
    "Japanese": (("cp932",), """
        新しいフォルダ/ソース表.txt | 議事録.txt | 請求書/2024年3月.csv | 予定表.txt | 写真/東京.txt |
        マニュアル.txt | 設計書/基本設計.md | テスト結果.csv | 日本語.txt | 履歴書.txt | 読んでください.txt |
        契約書(最終).txt | メモ.txt | データ/売上.csv | 能力表.txt | ﾃｽﾄ.txt | 表示.txt | 能力.txt |
        申請書.txt | 契約書/別紙.txt | 構成図.txt | 予算案/十月.csv | 仕様書.txt | 添付資料.txt | 見積書.txt |
        請求書.txt | 表.txt | 経理/貼付.txt | 日報.txt | 報告書.txt | 機能一覧.txt | 資料.txt | 名簿.txt |
        送付状.txt
        """),
    "Korean": (("cp949",), """
        계약서/첨부.txt | 새 폴더/설명.txt | 회의록.txt | 2024년 보고서.csv | 사진/서울.txt |
        사용자 설명서.txt | 분석/결과.csv | 이력서.txt | 프로젝트 계획.txt | 테스트.txt | 자료/통계.csv |
        논문 최종본.txt | 공지사항.md | 영수증/3월.csv | 읽어주세요.txt | 그림/화면.txt | 자료.txt | 명단.txt |
        보고서.txt | 통지서.txt | 영수증.txt | 사진.txt | 그림.txt | 기획/초안.txt | 요구사항.txt | 설치.txt |
        급여.csv | 백업.txt | 일기.txt | 메모.txt | 번역.txt | 다운로드.txt | 똠방각하.txt | 펲시콜라.txt |
        한글.txt | 문서.txt
        """),
    "Russian": (("cp866", "cp1251", "koi8-r"), """
        Договор/Приложение.txt | Новая папка/описание.txt | отчет 2024.csv | Фото/Москва.txt |
        Протокол совещания.md | инструкция.txt | Счет на оплату.txt | план работ.txt | резюме.txt | тест.txt |
        ЧИТАЙ.txt | Дипломная работа.txt | список.csv | Акт №5.txt | письмо.txt | Данные/итоги.csv
        """),
    "Ukrainian": (("cp1251", "cp1125"), """
        Договір/Додаток.txt | Нова папка/опис.txt | звіт 2024.csv | Фото/Київ.txt | Протокол зборів.md |
        інструкція.txt | рахунок.txt | план робіт.txt | резюме.txt | їжа.txt
        """),
    "German": (("cp437", "cp850", "cp1252"), """
        Überträge/Größe.txt | Müller.txt | Verträge/Anhang.txt | Schäfer & Söhne.csv | Köln.txt | Prüfung.txt |
        Straße.md | Änderungen.txt | Gebühren.txt | Übersicht.csv | Rückfrage.txt | für Jörg.txt
        """),
    "French": (("cp437", "cp850", "cp1252"), """
        Résumé.txt | été/à lire.txt | Contrôle.txt | Procès-verbal.txt | Données/Résultats.csv | Forêt.txt |
        français.txt | Élève.txt | reçu.txt | Côte d'Azur.txt | Où êtes-vous.txt | mémoire de thèse.txt
        """),
    "Spanish": (("cp437", "cp850", "cp1252"), """
        Año/Información.txt | Reunión.txt | España.csv | Número.txt | Música/canción.txt | ¿Qué es.txt |
        Índice.txt | Niños.txt | Lección 1.txt | Pequeño.txt | Cotización.txt | Árbol.txt
        """),
    "Portuguese": (("cp850", "cp1252"), """
        Relatório.txt | Ação/Informações.txt | São Paulo.csv | Reunião.txt | Orçamento.txt | Português.txt |
        Férias.txt | Família.txt | Declaração.txt | Índice.txt | Não.txt | Educação.txt
        """),
    "Swedish": (("cp437", "cp850", "cp1252"), """
        Årsredovisning.txt | Göteborg.txt | Förslag.txt | räkning.txt | Bokslut år 2024.csv | Äpple.txt |
        möte.txt | Malmö.txt | läs mig.txt | Kött.txt
        """),
    "Danish": (("cp850", "cp1252"), """
        Årsregnskab.txt | København.txt | Møde.txt | æbler.txt | Øresund.txt | Første udkast.txt |
        Læs mig.txt | Regnskab for året.txt | Bilag på dansk.txt | Køb.txt
        """),
    "Italian": (("cp437", "cp850", "cp1252"), """
        Perché.txt | Città.txt | Attività.csv | Università.txt | Qualità.txt | è così.txt | Verità.txt |
        Più.txt | Novità.txt | Società.txt
        """),
    "Polish": (("cp852", "cp1250"), """
        Załącznik.txt | Umowa końcowa.txt | zażółć gęślą jaźń.txt | Łódź.txt | Księgowość.csv | Zdjęcia.txt |
        Wrocław.txt | Święta.txt | żółty.txt | Opłata.txt | Sprawozdanie roczne - część 1.txt | źródło.txt
        """),
    "Czech": (("cp852", "cp1250"), """
        Příloha.txt | Smlouva o dílo č. 3.txt | Účetnictví.csv | Žádost.txt | Fotografie Plzeň.txt |
        Červen.txt | řešení.txt | Výkaz.txt | Město.txt | Přehled.txt | školní řád.txt | důležité.txt
        """),
    "Hungarian": (("cp852", "cp1250"), """
        Szerződés.txt | Melléklet.txt | Fényképek.txt | Jegyzőkönyv.txt | Költségvetés.csv | Győr.txt |
        új mappa.txt | Számla.txt | Önéletrajz.txt | gyűjtemény.txt
        """),
    "Turkish": (("cp857", "cp1254"), """
        Sözleşme.txt | Yeni klasör/açıklama.txt | Öğrenci.csv | İstanbul.txt | fatura ığdır.txt | Şirket.txt |
        Çalışma.txt | Toplantı tutanağı.txt | Görüntü.txt | ışık.txt
        """),
    "Greek": (("cp737", "cp1253"), """
        Συμβόλαιο.txt | Νέος φάκελος/περιγραφή.txt | Αναφορά 2024.csv | Αθήνα.txt | Φωτογραφίες.txt |
        Οδηγίες.txt | τιμολόγιο.txt | Σχέδιο.txt
        """),
    "Hebrew": (("cp862", "cp1255"), """
        חוזה.txt | תיקייה חדשה/תיאור.txt | דוח 2024.csv | תמונות.txt | ירושלים.txt | חשבונית.txt |
        פרוטוקול.txt | סיכום.txt
        """),
    "Arabic": (("cp1256", "cp720"), """
        عقد.txt | مجلد جديد/وصف.txt | تقرير 2024.csv | صور.txt | القاهرة.txt | فاتورة.txt | محضر الاجتماع.txt |
        ملخص.txt
        """),
    "Thai": (("cp874",), """
        สัญญา.txt | โฟลเดอร์ใหม่/คำอธิบาย.txt | รายงาน 2567.csv | รูปภาพ.txt | กรุงเทพ.txt | ใบแจ้งหนี้.txt |
        บันทึก.txt
        """),
    "Bulgarian": (("cp866", "cp1251"), """
        Договор/Приложение.txt | Нова папка/описание.txt | отчет 2024.csv | София.txt | Протокол.md |
        инструкция.txt | фактура.txt | българия.txt
        """),
}  # fmt: skip


def archives(names: list[str], size: int, chance: random.Random) -> list[list[str]]:
    """All names one by one, or 12 samples of `size`."""
    return [[name] for name in names] if size == 1 else [chance.sample(names, size) for _ in range(12)]


def measured() -> tuple[Counter[tuple[str, str, int]], Counter[tuple[str, str, int]]]:
    """Archives read right, and all of them, by language, encoding and number of names."""
    right: Counter[tuple[str, str, int]] = Counter()
    all_of: Counter[tuple[str, str, int]] = Counter()
    chance = random.Random(1)
    for language, (encodings, text) in NAMES.items():
        names = [name.strip() for name in text.split("|")]
        for encoding in encodings:
            writable = [name for name in names if name.encode(encoding, "ignore").decode(encoding) == name]
            for size in (1, 2, 4, 8):
                for group in archives(writable, min(size, len(writable)), chance):
                    decoded = decode_names([RawName(name.encode(encoding), False) for name in group])
                    right[language, encoding, size] += [name.text for name in decoded] == group
                    all_of[language, encoding, size] += 1
    return right, all_of


def share(size: int, right: Counter[tuple[str, str, int]], all_of: Counter[tuple[str, str, int]]) -> float:
    """Of the archives of so many names."""
    keys = [key for key in all_of if key[2] == size]
    return sum(right[key] for key in keys) / sum(all_of[key] for key in keys)


if __name__ == "__main__":
    right, all_of = measured()
    for language, encoding in dict.fromkeys(key[:2] for key in all_of):
        keys = [(language, encoding, size) for size in (1, 2, 4, 8)]
        print(f"{language:22} {encoding:8}", *(f"{right[key]:3}/{all_of[key]:<3}" for key in keys))
    print(f"{'share of all':31}", *(f"{share(size, right, all_of):7.1%}" for size in (1, 2, 4, 8)))
