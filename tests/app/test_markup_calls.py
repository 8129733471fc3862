"""Every text that Streamlit takes for its Markdown is a literal, or has gone through `app.markdown`.

Names, titles, questions, sources and what a model wrote would become links, images, colours and icons there. This walks
the calls; what becomes of the texts that were escaped: test_markdown, and in a browser tests/browser/test_names.py.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import app

APP = Path(app.__file__).parent
FILES = sorted([APP / "main.py", *APP.glob("views/*.py"), *APP.glob("parts/*.py")])

# what takes Markdown: the function, and which of its arguments, by place or name
LABELS = {0, "label", "help", "body"}
TAKES: dict[str, set[int | str]] = {
    **dict.fromkeys(("markdown", "caption", "error", "warning", "info", "success", "toast", "header"), LABELS),
    **dict.fromkeys(("subheader", "title", "write", "button", "checkbox", "toggle", "expander", "popover"), LABELS),
    "page_link": {"label", "help"},
    "say": {0},  # of app.state: an error's sentence, to be drawn later
    **dict.fromkeys(("download_button", "link_button", "form_submit_button", "text_input", "text_area"), LABELS),
    **dict.fromkeys(("number_input", "file_uploader", "slider", "select_slider", "metric", "dialog"), LABELS),
    **dict.fromkeys(("status", "spinner", "progress", "exception", "badge"), LABELS),
    **dict.fromkeys(("selectbox", "multiselect"), LABELS),  # their options are shown as text
    **dict.fromkeys(("radio", "segmented_control", "pills"), LABELS | {1, "options"}),
    "tabs": {0, "tabs"},
}
# what takes HTML
HTML = {"html": {0, "body"}}
ESCAPES = {"plain", "code", "sentence_of"}
HTML_ESCAPES = {"escape", "literal_html"}
# functions whose text has nothing of the user's in it: figures, times, words of ours
FIGURES = {"len", "round", "int", "float", "counted", "show_bytes", "show_seconds", "when", "sum", "max", "min"}


def is_numeric(spec: ast.expr | None) -> bool:
    """Whether a format is one that no text takes."""
    shown = "".join(str(part.value) for part in getattr(spec, "values", []) if isinstance(part, ast.Constant))
    return shown.rstrip("%").endswith((",", "f", "d", "g")) or shown.endswith("%")


# what was looked at by hand, and why it may stay: nothing in it is a name, a title, or what somebody wrote
REVIEWED = frozenset(
    (
        # words of ours and figures, from a function, a property or a table of constants
        "parts/branches.py _draw_receipt: caption(f'Question {index + 1:,}. {command} checks this again, and e)",
        "parts/branches.py _button: button(label)",
        "parts/sampling.py draw_sampling: number_input(about)",
        "parts/sampling.py draw_sampling: number_input(label)",
        "parts/strip.py draw_read_on: caption(f':material/event: Read with the date of {written(day)}.')",
        "parts/turns.py _draw_thought: expander(line)",
        "parts/choice.py draw_context: segmented_control(list(dict.fromkeys(marks)))",
        "parts/choice.py draw_more: segmented_control(KV_DEVICES)",
        "parts/connecting.py _draw_fields: segmented_control(_SOURCES)",
        "parts/connecting.py _draw_prices: number_input(label)",
        "parts/connecting.py draw_trial: error(tried)",
        "parts/enclosures.py draw_joined: button(_names(joined[:n_hidden]))",
        "parts/enclosures.py _draw_chip: button(name.capitalize())",
        "parts/exporting.py export: download_button(label)",
        "parts/exporting.py export: caption(what)",
        "parts/guides.py draw_guides: caption(f\"The engine's figures are those of `longdesk plan --model {)",
        "parts/notes.py _draw_note: button(_SEND)",
        "parts/passes.py draw_offer: caption('Working out the slices' if outline is None else f'{_sum(out)",
        "parts/passes.py draw_passes: markdown(f':material/splitscreen: **{words}.** {_sum(outline)}.')",
        "parts/passes.py draw_left: caption(f':material/bookmark: {what}{left}')",
        "parts/reach_grid.py draw_grid: caption(f'{plain(reading.model)}{quantization}, {plain(reading.kv_ty)",
        "parts/remedies.py draw_finding: markdown(_sentence(plan))",
        "parts/sources.py _draw_check: checkbox(label)",
        "parts/sources.py _draw_check: checkbox(help)",
        "parts/strip.py draw_verdict: warning(verdict(plan))",
        "parts/strip.py draw_rereading: caption(f':material/replay: {sentence}, before the next answer.')",
        "parts/strip.py draw_reach: caption(f':material/straighten: {found.sentence}: this corpus is lon)",
        "parts/strip.py draw_unseen: markdown(f':material/visibility_off: {unseen_markdown(paths, about.na)",
        "parts/strip.py _draw_advice: error(fact)",
        "parts/strip.py draw_plan_link: page_link(label)",
        "parts/strip.py draw_reading_link: page_link(label)",
        "parts/thumbnails.py draw_thumbnail: button(label)",
        "parts/viewer.py _draw_head: markdown(name + plain(seen.link.path) + page)",
        "views/ask.py _draw_suggestions: button(each.question)",
        "views/ask.py _draw_first_read: caption(f':material/hourglass_empty: {sentence}')",
        "views/plan.py draw: caption(line)",
        "views/plan.py _draw_plan: caption(' '.join(notes))",
        "views/plan.py _draw_forecast: subheader(f'With {wanted.kv_type} KV')",
        "views/snapshots.py _delete_several: markdown(f\"{choice}: {counted(n_gone, 'KV cache')}, {freed}. The sess)",
        "views/summary.py _draw_statement: caption(NOT_SHOWN)",
        # HTML of figures, or of a function that escapes each text that it is given
        "main.py draw_page: html(_PARTS / 'style.css')",
        "parts/branches.py _draw_receipt: html(receipt_html(receipt))",
        "parts/branches.py _draw_alternatives: html(f'<span class=\"branch\">{at + 1} of {len(there)}</span>')",
        "parts/coming.py _draw_one: html(status_html(line if here else f'{addition.title}: {line}', s)",
        'parts/contexts.py draw_contexts: html(f\'<table class="contexts"><thead><tr><th>Context</th>{head}<)',
        "parts/devices.py draw_devices: html(devices_html(plan))",
        'parts/notes.py _draw_note: html(f"""<div class="answer note">{\'\'.join((block.html for block )',
        "parts/reach_grid.py draw_grid: html(grid_html(reading))",
        "parts/reach_grid.py draw_grid: html(_kinds_html(reading))",
        "parts/sources.py draw_panel_head: html(f'<b>{total}</b>')",
        "parts/sources.py draw_panel_head: html(f'<div class=\"panel-note\">{note}</div>')",
        "parts/strip.py draw_strip: html(_strip_html(budget, plan, has_panel=has_panel, slices=slices)",
        "parts/thumbnails.py draw_thumbnails: html(_style(thumbnails))",
        "parts/thumbnails.py _draw_more: html(_style(thumbnails))",
        "parts/turns.py draw_running: html(so_far)",
        "parts/viewer.py _draw_inside: html(_figure(drawing, seen, about.tile_tokens if about else 0))",
    )
)


class Calls(ast.NodeVisitor):
    """The arguments of a file's calls that are neither literals nor escaped: each with its function and line."""

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text())
        self.name = path.relative_to(APP).as_posix()
        self.found: list[str] = []
        self.functions: list[ast.FunctionDef] = []
        self.returns = {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}
        self.constants = {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self.visit(self.tree)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.functions.append(node)
        self.generic_visit(node)
        self.functions.pop()

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        of_streamlit = isinstance(node.func, ast.Attribute) and is_streamlit(node.func.value)
        for takes, escapes in ((TAKES, ESCAPES), (HTML, HTML_ESCAPES)):
            if name in takes and of_streamlit:
                given = [*enumerate(node.args), *((each.arg, each.value) for each in node.keywords)]
                for at, value in given:
                    if at in takes[name] and not self.is_safe(value, escapes, frozenset()):
                        where = self.functions[-1].name if self.functions else ""
                        self.found.append(f"{self.name} {where}: {name}({ast.unparse(value)[:60]})")
        self.generic_visit(node)

    def is_safe(self, node: ast.expr | None, escapes: set[str], seen: frozenset[str]) -> bool:
        def safe(each: ast.expr | None) -> bool:
            return self.is_safe(each, escapes, seen)

        match node:
            case None | ast.Constant():
                return True
            case ast.JoinedStr(values):
                return all(map(safe, values))
            case ast.FormattedValue(value, _, spec):
                return is_numeric(spec) or safe(value)
            case ast.Call(func=ast.Name(name)) if name in escapes | FIGURES:
                return True
            case ast.Call(func=ast.Name(name)) if name in self.returns and name not in seen:
                returns = [each.value for each in own(self.returns[name]) if isinstance(each, ast.Return)]
                inner = (self.is_safe_in(self.returns[name], each, escapes, seen | {name}) for each in returns)
                return bool(returns) and all(inner)
            case ast.Call(func=ast.Attribute(value=ast.Name("state"), attr="said" | "refusal")):
                return escapes is ESCAPES  # what was said was escaped: these calls are walked, too
            case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[joined]):
                return safe(joined)
            case ast.Call(func=ast.Attribute(attr="replace" | "capitalize", value=value), args=args):
                return safe(value) and all(map(safe, args))
            case ast.Call(func=ast.Name("map"), args=[ast.Name(name), *_]):
                return name in escapes
            case ast.GeneratorExp(elt) | ast.ListComp(elt):
                return safe(elt)
            case ast.List(elts) | ast.Tuple(elts) | ast.Set(elts):
                return all(map(safe, elts))
            case ast.Starred(value):
                return safe(value)
            case ast.IfExp(_, body, orelse):
                return safe(body) and safe(orelse)
            case ast.BoolOp(_, values):
                return all(map(safe, values))
            case ast.BinOp(left, ast.Add() | ast.Mult(), right):
                return safe(left) and safe(right)
            case ast.Subscript(value):
                return safe(value)
            case ast.Dict(_, values):
                return all(map(safe, values))
            case ast.NamedExpr(_, value):
                return safe(value)
            case ast.Name(name) if name not in seen:
                return self.is_safe_name(name, escapes, seen | {name})
        return False

    def is_safe_in(
        self, function: ast.FunctionDef, node: ast.expr | None, escapes: set[str], seen: frozenset[str]
    ) -> bool:
        self.functions.append(function)
        try:
            return self.is_safe(node, escapes, seen)
        finally:
            self.functions.pop()

    def is_safe_name(self, name: str, escapes: set[str], seen: frozenset[str]) -> bool:
        """Whether all that is assigned to a name in this function, or once in the file, is safe."""
        for function in reversed(self.functions):
            if values := [*assigned(function, name)]:
                return all(self.is_safe(each, escapes, seen) for each in values)
            arguments = function.args
            if name in {each.arg for each in (*arguments.args, *arguments.kwonlyargs)}:
                return False
        return name in self.constants and self.is_safe(self.constants[name], escapes, seen)


def is_streamlit(node: ast.expr) -> bool:
    """st, and what stands for a place on the page: st.sidebar, a column."""
    return not isinstance(node, ast.Constant) and ast.unparse(node).split(".")[0] not in ("re", "self", "json")


def own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    yield from ast.walk(function)


def assigned(function: ast.FunctionDef, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets, value) if any(isinstance(each, ast.Name) and each.id == name for each in targets):
                yield value
            case ast.AugAssign(ast.Name(id), _, value) | ast.NamedExpr(ast.Name(id), value) if id == name:
                yield value
            case ast.AnnAssign(ast.Name(id), _, value) if id == name and value is not None:
                yield value
            case ast.For(ast.Name(id), values) if id == name:
                yield values
            case ast.For(ast.Tuple(names), ast.Tuple(rows)) if name in map(ast.unparse, names):
                at = [*map(ast.unparse, names)].index(name)
                yield from (row.elts[at] for row in rows if isinstance(row, ast.Tuple))
            case ast.Assign([ast.Tuple(names)], ast.Tuple(values)):
                yield from (value for each, value in zip(names, values, strict=False) if ast.unparse(each) == name)
            case ast.Assign([ast.Tuple(names)], ast.IfExp(_, ast.Tuple(one), ast.Tuple(two))):
                for at, each in enumerate(names):
                    if ast.unparse(each) == name:
                        yield from (one[at], two[at])


@pytest.fixture(scope="module")
def found() -> set[str]:
    return {each for path in FILES for each in Calls(path).found}


def test_every_text_is_a_literal_or_escaped_or_was_looked_at(found: set[str]) -> None:
    """What is new here goes through `plain` or `escape`; where its words are Longdesk's own, it joins REVIEWED."""
    assert found - REVIEWED == set()


def test_what_was_looked_at_is_still_there(found: set[str]) -> None:
    assert REVIEWED - found == set()


@pytest.mark.parametrize(
    "code",
    ["st.markdown(name)", "st.error(str(error))", "st.caption(f'{name} is here')", "st.button(label=name)"]
    + ["st.checkbox('x', help=name)", "st.write('a' + name)", "x = name\n    st.error(x)", "st.html(f'<b>{name}</b>')"]
    + ["st.sidebar.caption(name)", "place.markdown(plain(a) + name)", "st.html(plain(name))", "st.error(escape(name))"]
    + ["st.pills('x', [name])", "state.say(f'{name}')", "st.markdown(f'{name:>20}')", "st.toast(' '.join([name]))"],
)
def test_what_is_not_escaped_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setitem(globals(), "APP", tmp_path)
    (tmp_path / "a.py").write_text(f"def draw(name, error, a, place):\n    {code}\n")
    assert len(Calls(tmp_path / "a.py").found) == 1


@pytest.mark.parametrize(
    "code",
    ["st.markdown(plain(name))", "st.error(sentence_of(error))", "st.caption(f'{plain(name)}: {n:,} of {x:.1f}')"]
    + ["st.markdown('**x**')", "st.button('a', key=name)", "st.html(f'<b>{escape(name)}</b>')", "re.sub(name)"]
    + ["for each in state.said():\n        st.error(each)", "st.caption(' '.join(map(plain, name)))", "st.text(name)"]
    + ["y = plain(name) if name else ''\n    st.toast(y)", "st.selectbox('x', [name])", "st.code(name)"],
)
def test_what_is_escaped_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setitem(globals(), "APP", tmp_path)
    (tmp_path / "a.py").write_text(f"def draw(name, error, n, x):\n    {code}\n")
    assert Calls(tmp_path / "a.py").found == []
