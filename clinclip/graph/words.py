"""Word classes of the rule-based graph builder: data, no rules; lower-case, one word each, as RadGraph cuts."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SIDES = _words(
    "left right bilateral both bilaterally left-sided right-sided unilateral ipsilateral contralateral biapical "
    "bibasilar bibasal hemilateral"
)
#: Anatomy that stands at the end of its group: "left lower lobe" ends there, and "airspace" after it begins another.
SITES = _words(
    "lobe lobes zone zones base bases apex apices basilar basal bibasilar bibasal apical biapical perihilar "
    "retrocardiac midlung lingula lingular region regions hilum hila"
)
#: Organ words that may follow a site and belong to the finding, not to the place.
ORGANS = _words("airspace pleural parenchymal pulmonary alveolar interstitial lung volume")
ANATOMY = (
    SIDES
    | SITES
    | ORGANS
    | _words(
        "sternotomy median artery spinal axilla breast quadrant back extremities pectoral upper lower mid middle "
        "lateral medial posterior anterior superior inferior central peripheral proximal distal internal external "
        "lungs lobar segment segments hemithorax hemithoraces thorax thoracic chest wall heart cardiac silhouette "
        "silhouettes contour contours mediastinum mediastinal cardiomediastinal cardiopulmonary intrathoracic "
        "cardiothoracic hilar aorta aortic arch knob costophrenic cp angle angles sulcus sulci pleura fissure "
        "fissures diaphragm hemidiaphragm hemidiaphragms diaphragmatic hemidiaphragmatic rib ribs clavicle "
        "clavicles clavicular humerus humeral spine vertebra vertebral vertebrae sternum sternal bone bones bony "
        "osseous skeletal scapula shoulder trachea tracheal tracheobronchial tree carina bronchus bronchi "
        "bronchial vasculature vascularity vascular vessel vessels venous svc atrium cavoatrial ventricle "
        "junction jugular subclavian vena cava neck abdomen abdominal stomach esophagus gastric subcutaneous "
        "intraperitoneal surfaces space spaces field fields volumes markings structures structure tissue tissues "
        "soft disc size hiatal hiatus subpulmonic visceral retrosternal paratracheal suprahilar infrahilar "
        "juxtahilar bowel endotracheal nasogastric enteric orogastric tracheostomy ng og et ij extremity first "
        "second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth 3rd 4th 5th 6th 7th 8th 9th"
    )
)
#: Anatomy words that begin with an ordinal reading only before a rib.
ORDINALS = _words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth 3rd 4th 5th 6th 7th 8th 9th"
)
#: Words that describe an observation: size, degree, texture, age, change over time.
MODIFIERS = _words(
    "dependent removal removed enlarged-appearing apparent new-onset prominent prominence unfolded "
    "atherosclerotic rotated low remote healed fracture-like small tiny trace minimal minor mild slight subtle "
    "faint vague moderate large massive severe marked extensive substantial small-to-moderate moderate-to-large "
    "moderate-sized small-sized large-sized sizable significant minimally slightly mildly moderately severely "
    "markedly massively borderline top-normal patchy hazy ill-defined focal multifocal diffuse dense confluent "
    "scattered several multiple linear discoid platelike plate-like subsegmental compressive streaky nodular "
    "reticular rounded round well-circumscribed lobulated spiculated subcentimeter calcified nondisplaced "
    "displaced compression layering loculated acute chronic subacute old new unchanged stable persistent known "
    "similar comparable increased increasing worsened worsening enlarging enlarged larger worse more progressed "
    "decreased decreasing improved improving diminished regressed residual smaller less increase decrease "
    "improvement reduction progression enlargement resolution clearing resolved cleared development developed "
    "partial possible probable questionable suspected overt frank appreciable detectable visible definite "
    "suspicious infectious atelectatic fibrotic emphysematous degenerative obstructive free elevated tortuous "
    "widened normal unremarkable clear sharp intact midline expanded inflated well-aerated distended engorged "
    "congested dextroconvex levoconvex s-shaped right-convex left-convex tunneled dual-lumen large-bore low-lying "
    "layers"
)
#: Statements of normality: the word itself is there, whatever it denies.
NORMALITY = _words("normal unremarkable clear sharp intact midline expanded inflated well-aerated well-expanded")
#: Adjectives of anatomy that wait for a noun: "cardiac and mediastinal silhouettes".
WAITING = _words(
    "cardiac mediastinal hilar cardiomediastinal pulmonary pleural bony osseous aortic upper lower right left mid "
    "middle interstitial diaphragmatic"
)
#: Anatomy that says what kind of device it is, not where the device lies.
DEVICE_KINDS = _words(
    "endotracheal nasogastric orogastric enteric tracheostomy ng og et chest central venous pleural biliary gastric"
)
DEVICES = _words("tube tubes line lines catheter catheters drain drains lead leads port wires clips pacemaker device")
#: Words of a mention that describe the view, not the body.
VIEW_WORDS = _words(
    "radiograph radiographs film study visualized visualised visible imaged seen noted identified intubated"
)
#: Descriptions that are an observation of their own when said of anatomy: "the aorta is tortuous".
PREDICATES = _words(
    "tortuous calcified unfolded distended elevated widened enlarged prominent engorged congested rotated ectatic "
    "dilated hyperinflated hyperexpanded flattened blunted"
)
#: Observations outside the reader's vocabulary that radiologists name and that point to a finding.
OBSERVATIONS = _words(
    "calcification calcifications deformity deformities lucency lucencies irregularity irregularities haziness "
    "blunting thickening distention eventration callus"
)
#: Change that can be denied on its own: "no change in the effusion".
DENIABLE = _words(
    "change changed changes increase increased decrease decreased enlargement progression worsening improvement "
    "improved resolution resolved larger smaller worse better new acute"
)
#: Words of a mention that are no entity.
FILLERS = _words(
    "the a an of in is are was were be to and or with for by not no has have remains appears within limits at on"
)
#: Prepositions through which a place attaches to the observation before it.
PLACE_PREPOSITIONS = _words(
    "in at of within on along over behind under below beneath throughout overlying involving near around into"
)
#: Words that end the reach of an attachment.
CLAUSE_ENDS = _words("but however although though while whereas except yet")
