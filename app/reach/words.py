"""The words that probes are made of: facts whose questions share no word with them, names, towns, inns, cargo.

All of it was written for this; no data set's needles are among them. tests/app/reach/test_probes.py holds that a
fact and its question have no word in common.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """What is said of a person, with {name} in it, and a question that only that person answers."""

    says: str
    question: str


FACTS = (
    Fact("{name} keeps forty hives behind the barn.", "Who could sell you honey?"),
    Fact("{name} flies passenger planes across the ocean.", "Who works as a pilot?"),
    Fact("{name} drills and fills teeth all day long.", "Who is the dentist?"),
    Fact("{name} plays first violin in an orchestra.", "Who is a musician?"),
    Fact("{name} grew up a few steps from the Eiffel Tower.", "Who comes from Paris?"),
    Fact("{name} milks ninety cows before sunrise.", "Who is a dairy farmer?"),
    Fact("{name} sells fresh loaves and rolls from a hot oven.", "Who is the baker?"),
    Fact("{name} mends broken pipes and leaking taps.", "Who is the plumber?"),
    Fact("{name} takes pictures at weddings for a living.", "Who is a photographer?"),
    Fact("{name} shears the flock every spring.", "Who owns sheep?"),
    Fact("{name} explains algebra to teenagers every morning.", "Who works at a school?"),
    Fact("{name} prescribes pills and listens to lungs.", "Who is the doctor?"),
    Fact("{name} cuts hair and trims beards.", "Who is the barber?"),
    Fact("{name} hauls cod and herring out of the nets.", "Who is a fisherman?"),
    Fact("{name} argues before a judge in a black robe.", "Who is a lawyer?"),
    Fact("{name} rides the red engine and puts out burning houses.", "Who is a firefighter?"),
    Fact("{name} stamps borrowed novels and asks for silence.", "Who is the librarian?"),
    Fact("{name} steers a yellow cab through the night.", "Who drives a taxi?"),
    Fact("{name} dances Swan Lake on pointed toes.", "Who does ballet?"),
    Fact("{name} watches stars and planets through a telescope.", "Who is an astronomer?"),
    Fact("{name} was born beside the pyramids of Giza.", "Who comes from Egypt?"),
    Fact("{name} presses grapes and fills oak barrels.", "Who makes wine?"),
    Fact("{name} hammers glowing iron into horseshoes.", "Who is the blacksmith?"),
    Fact("{name} sews suits and measures sleeves.", "Who is the tailor?"),
    Fact("{name} brings letters and parcels on a bicycle.", "Who works for the post office?"),
    Fact("{name} learned to walk at the foot of Mount Fuji.", "Who comes from Japan?"),
)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words(
    "Alvira Benoke Brisa Casimir Corvin Dagny Delmira Edric Elowen Eskil Fabiola Ferran Gisela Gudrun Halvard "
    "Hedwig Idunn Ingvar Isolde Jorund Kasimira Kerstin Leocadia Ludmila Magnild Marcelin Mirela Nadezda Nerys "
    "Odalys Ottilie Petronel Quirin Ragna Rosalba Runa Sigrun Solveig Tancred Thyra Ulrika Valborg Vidar Wilmar "
    "Xenia Yrsa Zdenka Zoltan"
)
TOWNS = _words(
    "Ardmuir Belvane Cresmont Dunholt Elverby Fenwold Garlock Hestwick Ilmarsh Jarnvik Kelbrook Lornach Marwell "
    "Nordhaven Ostrey Penmoor Quillby Ravnsund Selkirby Tarnholm Ulverton Vasterby Westmarch Yarlford"
)
COLOURS = _words("red green blue white black yellow purple orange brown silver")
BEASTS = _words("Heron Badger Otter Falcon Hare Lynx Stag Raven Salmon Weasel Boar Crane")
THINGS = _words("boat van bicycle scarf piano kettle door umbrella lantern sofa")
CARGO = _words(
    "amber copper walnuts silk candles pepper slate wool cork indigo barley marble resin salt velvet honeycomb "
    "almonds glass leather paper"
)
