"""The words that probes are made of: facts that are asked for in words of their own, names, towns, inns, cargo.

All of it was written for this; no data set's needles are among them. tests/app/reach/test_probes.py holds that a
fact and what is asked of it have no word in common.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """What is said of a person, with {name} in it, and what is asked of: whoever that is true of is the person."""

    says: str
    true_of: str


FACTS = (
    Fact("{name} keeps forty hives behind the barn.", "could sell you honey"),
    Fact("{name} flies passenger planes across the ocean.", "works as a pilot"),
    Fact("{name} drills and fills teeth all day long.", "is the dentist"),
    Fact("{name} plays first violin in an orchestra.", "is a musician"),
    Fact("{name} grew up a few steps from the Eiffel Tower.", "comes from Paris"),
    Fact("{name} milks ninety cows before sunrise.", "is a dairy farmer"),
    Fact("{name} sells fresh loaves and rolls from a hot oven.", "is the baker"),
    Fact("{name} mends broken pipes and leaking taps.", "is the plumber"),
    Fact("{name} takes pictures at weddings for a living.", "is a photographer"),
    Fact("{name} shears the flock every spring.", "owns sheep"),
    Fact("{name} explains algebra to teenagers every morning.", "works at a school"),
    Fact("{name} prescribes pills and listens to lungs.", "is the doctor"),
    Fact("{name} cuts hair and trims beards.", "is the barber"),
    Fact("{name} hauls cod and herring out of the nets.", "is a fisherman"),
    Fact("{name} argues before a judge in a black robe.", "is a lawyer"),
    Fact("{name} rides the red engine and puts out burning houses.", "is a firefighter"),
    Fact("{name} stamps borrowed novels and asks for silence.", "is the librarian"),
    Fact("{name} steers a yellow cab through the night.", "drives a taxi"),
    Fact("{name} dances Swan Lake on pointed toes.", "does ballet"),
    Fact("{name} watches stars and planets through a telescope.", "is an astronomer"),
    Fact("{name} was born beside the pyramids of Giza.", "comes from Egypt"),
    Fact("{name} presses grapes and fills oak barrels.", "makes wine"),
    Fact("{name} hammers glowing iron into horseshoes.", "is the blacksmith"),
    Fact("{name} sews suits and measures sleeves.", "is the tailor"),
    Fact("{name} brings letters and parcels on a bicycle.", "works for the post office"),
    Fact("{name} learned to walk at the foot of Mount Fuji.", "comes from Japan"),
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
