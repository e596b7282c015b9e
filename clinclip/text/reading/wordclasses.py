"""Closed word classes of radiology English that the rewriting rules lean on. Data, no rules; everything lower-case."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Forms of verbs that can be the predicate of a clause.
FINITE = _words(
    "is are was were has have had remains remain appears appear shows show demonstrates demonstrate persists "
    "persist reveals reveal suggests suggest represents reflects indicates obscures extends measures contains may "
    "might could can cannot will would should must does do seems seem lies terminates ends projects overlies "
    "courses"
)
#: Participles and predicative words that follow a mention but are no part of its noun phrase.
PREDICATIVE = _words(
    "seen noted identified present visualized visualised demonstrated observed found evident detected appreciated "
    "visible apparent again also now been being be not absent excluded questioned suspected considered favored "
    "favoured thought felt worsened improved resolved cleared developed progressed"
)
#: Words that link an observation to its explanation.
INTERPRETIVE = _words(
    "may might could can likely probably possibly presumably most very are is be been which that and a an the "
    "some reflect reflects reflecting represent represents representing indicate indicates indicating suggest "
    "suggests suggesting suggestive compatible consistent concerning suspicious worrisome due secondary related "
    "attributable from of for with to in keeping favor favors favoring favored favour favours favouring favoured "
    "thought felt considered raising concern possibility possible probable potentially either question "
    "questionable mild minor such as this these findings finding it has appearance appearing"
)
#: Words by which an observation is explained: "a nodule, likely a granuloma".
EXPLAINING = _words(
    "likely probably possibly presumably perhaps may might could representing represents reflecting reflects "
    "suggesting suggestive compatible consistent concerning suspicious worrisome questionable"
)
#: Where a noun phrase ends on either side. Prepositions are handled apart on the right.
BOUNDARY = (
    FINITE
    | PREDICATIVE
    | _words(
        "probably possibly presumably potentially perhaps likely "
        "there no not without with and or but nor neither either while whereas although though however yet which "
        "that who if because since as than then except despite regarding concerning suspicious worrisome "
        "suggestive compatible consistent keeping reflecting representing indicating suggesting due secondary "
        "related attributable favoring favouring negative free evidence sign signs suggestion concern question "
        "compared comparison interval represent reflect indicate suggest favor post include includes including "
        "show shows showing reveals versus vs in on at of for from to by near after before until into onto "
        "through per during following it they he she i we you"
    )
)
#: Prepositions that continue a noun phrase to the right ("in the left lower lobe", "measuring 5 mm").
CONTINUING = _words(
    "in at on of within along over overlying involving throughout near around adjacent abutting measuring "
    "bilaterally up about to"
)
#: Adjectives that link when "for", "of" or "with" follows.
LINKING_ADJECTIVES = _words("suspicious concerning worrisome suggestive compatible consistent negative free")
#: Adjectives that lean on an observation named before: "effusion with associated atelectasis".
RELATIONAL = _words(
    "associated adjacent subsequent resultant resulting accompanying concomitant concurrent underlying overlying "
    "superimposed consequent"
)
DETERMINERS = _words("a an the this that these those some any")
#: Words that may stand in an apposition after a mention: ", left greater than right", ", unchanged".
APPOSITIVE = _words(
    "left right greater larger smaller more less worse than side sided bilateral bilaterally unchanged stable "
    "improved improving worsened worsening increased increasing decreased decreasing new old chronic acute "
    "slightly mildly moderately markedly small large moderate mild severe minimal trace tiny similar not "
    "significantly since the prior previous study exam examination compared to as before persistent persisting "
    "probably likely possibly in size interval change on from unchanging grossly essentially again"
)
#: Adjectives between which a comma does not end a noun phrase ("small, loculated effusion").
ADJECTIVES = _words(
    "small large moderate mild minimal trace tiny severe moderate-sized patchy hazy dense focal diffuse "
    "ill-defined well-defined loculated layering new old chronic acute subtle faint linear streaky rounded "
    "spiculated calcified nondisplaced displaced stable unchanged bilateral left right confluent multifocal "
    "scattered opaque"
)
#: Adjectives that two coordinated phrases share a noun through: "the moderate right and small left effusions".
SHARING = _words(
    "left right bilateral upper middle mid lower apical basilar basal anterior posterior left-sided right-sided "
    "small large moderate mild severe minimal trace tiny new old acute chronic interstitial alveolar "
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
)
#: Numbers of ribs and vertebrae: "the third through sixth ribs", "ribs 5 through 7".
ORDINAL = re.compile(
    r"(?:first|second|third|(?:four|fif|six|seven|eigh|nin|ten|eleven|twelf)th|[ctl]?\d+(?:st|nd|rd|th)?)"
)
#: Nouns of change: what stands beside them in a list is no finding.
CHANGE_NOUNS = _words(
    "increase decrease worsening improvement progression resolution development enlargement reduction interval clearing"
)
#: Nouns that show that words after "and" go on with a place and not with a new observation.
PLACE_NOUNS = _words(
    "lobe lobes zone zones lung lungs base bases apex apices side sides hemithorax hemithoraces lingula region "
    "regions field fields left right upper lower middle mid hila hilum ribs rib fissure fissures angle angles "
    "segment segments third thirds portion portions aspect aspects laterally medially posteriorly anteriorly"
)
#: Sides and places that may stand before a finding.
PLACE_WORDS = _words(
    "left right bilateral left-sided right-sided upper lower middle mid lobe lung bibasilar basilar basal bibasal "
    "apical biapical perihilar retrocardiac lingular midlung multifocal diffuse"
)
#: Observations outside the 14 that a sentence may state beside a finding; a clause with one is worth keeping.
OTHER_NOUNS = _words(
    "aorta hernia scoliosis spine spondylosis kyphosis clips wires sternotomy granuloma granulomas calcification "
    "calcifications emphysema hyperinflation copd bronchiectasis fibrosis scarring scar diaphragm hemidiaphragm "
    "hemidiaphragms volumes vasculature pneumoperitoneum gas stomach shunt osteophytes trachea mediastinum hila "
    "hilum valve surgery resection lymphadenopathy adenopathy arthroplasty hardware cysts cyst changes shift "
    "deviation tube tubes catheter port pacemaker leads"
)
#: Adjectives that name an organ and need a noun: "cardiac and mediastinal contours".
ORGAN_ADJECTIVES = _words(
    "cardiac mediastinal hilar cardiomediastinal pulmonary pleural bony osseous vascular cardiopulmonary aortic "
    "interstitial alveolar costophrenic diaphragmatic"
)
#: Verbs whose number follows the noun: plural -> singular.
SINGULAR_OF = {
    "are": "is", "were": "was", "have": "has", "remain": "remains", "appear": "appears", "persist": "persists",
    "show": "shows", "suggest": "suggests", "reflect": "reflects", "represent": "represents", "seem": "seems",
}  # fmt: skip
PLURAL_OF = {singular: plural for plural, singular in SINGULAR_OF.items()}
#: Subjects that point back to the sentence before.
ANAPHORA = _words("it this these they those both")
#: Words that name a side; the key of a swap, and its partner.
SIDES = {
    "left": "right", "right": "left", "left-sided": "right-sided", "right-sided": "left-sided",
    "leftward": "rightward", "rightward": "leftward", "lul": "rul", "rul": "lul", "lll": "rll", "rll": "lll",
}  # fmt: skip
