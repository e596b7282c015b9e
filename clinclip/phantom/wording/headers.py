"""What stands around findings and impression: examination, indication, technique, comparison, addenda."""

from __future__ import annotations

EXAMINATION: dict[str, tuple[str, ...]] = {
    "two": (
        "CHEST (PA AND LAT)",
        "CHEST (PA AND LAT)",
        "Chest radiograph",
        "Chest PA and lateral",
        "PA AND LATERAL CHEST RADIOGRAPHS",
        "CHEST RADIOGRAPHS",
    ),
    "portable": (
        "CHEST (PORTABLE AP)",
        "CHEST (PORTABLE AP)",
        "Chest radiograph, portable AP",
        "PORTABLE CHEST",
        "DX CHEST PORTABLE AP",
    ),
    "one": ("CHEST (SINGLE VIEW)", "Chest radiograph", "CHEST RADIOGRAPH", "CHEST (PA)"),
}
TECHNIQUE: dict[str, tuple[str, ...]] = {
    "two": (
        "Chest PA and lateral",
        "Chest, PA and lateral.",
        "PA and lateral views of the chest.",
        "Frontal and lateral views of the chest",
        "Upright PA and lateral radiographs of the chest.",
    ),
    "portable": (
        "Portable AP view of the chest.",
        "Single portable AP view of the chest",
        "AP portable chest radiograph",
        "Semi-upright AP view of the chest",
    ),
    "one": ("Single frontal view of the chest", "Frontal chest radiograph"),
}
#: Title lines of reports without EXAMINATION header.
TITLES: dict[str, tuple[str, ...]] = {
    "two": (
        "PA AND LATERAL CHEST, ___",
        "CHEST RADIOGRAPHS",
        "PA AND LATERAL VIEWS OF THE CHEST",
        "TYPE OF EXAMINATION:  Chest PA and lateral.",
    ),
    "portable": (
        "PORTABLE CHEST, ___",
        "AP CHEST, {TIME}, ___",
        "PORTABLE AP CHEST FILM, {TIME}",
        "CHEST RADIOGRAPH, PORTABLE",
    ),
    "one": ("CHEST RADIOGRAPH", "FRONTAL CHEST RADIOGRAPH, ___"),
}
COMPARISON: dict[bool, tuple[str, ...]] = {
    # prior studies exist
    True: (
        "___.",
        "Chest radiograph from ___.",
        "Chest radiograph dated ___",
        "Multiple prior chest radiographs, most recently ___.",
        "Comparison is made with prior study from ___.",
        "___ and ___.",
        "Prior radiograph from ___ at {TIME}.",
        "Chest radiographs ___ through ___.",
        "Radiograph ___; CT chest ___.",
    ),
    False: (
        "None.",
        "None.",
        "None available.",
        "None",
        "No prior studies available for comparison.",
        "CT torso from ___.",
        "No prior.",
    ),
}
#: {WHO} and the reasons. {why} names a finding, whether or not it is there.
INDICATION: tuple[str, ...] = (
    "{WHO} with {SYMPTOM} // (eval|evaluate|assess|please evaluate) for {why}",
    "{WHO} with {SYMPTOM} // {why}?",
    "{WHO} with {SYMPTOM}, (evaluate|assess) for {why}.",
    "{WHO} with {SYMPTOM}.",
    "{WHO} with {SYMPTOM}. Rule out {why}.",
    "{WHO} with {SYMPTOM}, question {why}.",
    "{WHO} with history of {past}, now with {SYMPTOM}.",
    "{WHO} with history of {past} // interval change?",
    "{WHO} with {past} // (f/u|follow up|interval change)",
    "{SYMPTOM}, (r/o|eval|rule out) {why}.",
    "{SYMPTOM}.",
    "(Evaluate|Assess) for {why} or {why2}.",
    "History: {WHO} with {SYMPTOM} // {why}, {why2}?",
    "{WHO} with {past}, {SYMPTOM} // {why}",
    "{WHO} s/p {PROCEDURE} // (eval for|r/o|?) {why}",
    "Status post {PROCEDURE}, (evaluate for|assess for|question) {why}.",
    "{WHO} s/p {PROCEDURE}, check position.",
)
HEADER_NONTERMINALS: dict[str, tuple[str, ...]] = {
    "WHO": ("___{sex}", "___-year-old {man}", "___ year old {man}", "___ y/o {sex}", "___yo {sex}", "Patient"),
    "SYMPTOM": (
        "cough", "fever", "cough and fever", "chest pain", "shortness of breath", "dyspnea", "SOB", "hypoxia", "hypoxemia",
        "productive cough", "altered mental status", "weakness", "syncope", "fall", "trauma", "leukocytosis", "pleuritic chest pain",
        "dyspnea on exertion", "abdominal pain", "palpitations", "fevers and chills", "wheezing", "hemoptysis", "respiratory distress",
        "increased oxygen requirement", "left sided chest pain", "right rib pain", "preoperative evaluation", "lower extremity swelling",
        "new O2 requirement", "weight loss", "headache", "night sweats", "nausea and vomiting", "sepsis",
    ),
    "PROCEDURE": (
        "line placement", "chest tube removal", "chest tube placement", "thoracentesis", "intubation", "CABG", "AVR", "PICC placement",
        "bronchoscopy", "lobectomy", "pacemaker placement", "NGT placement", "VATS", "esophagectomy", "liver transplant", "extubation",
    ),
    "TIME": ("4:11 A.M.", "5:02 A.M.", "___ A.M.", "8:30 P.M.", "10:22 A.M.", "2:47 P.M.", "6:15 A.M.", "11:58 P.M."),
}  # fmt: skip
#: What requests call findings: full and abbreviated.
ASKED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pneumonia": (("pneumonia", "infection", "infiltrate", "acute process"), ("PNA", "pna", "infxn")),
    "effusion": (("effusion", "pleural effusion", "effusions"), ("effusion", "pl. effusion")),
    "pneumothorax": (("pneumothorax",), ("PTX", "ptx", "pneumo")),
    "edema": (("pulmonary edema", "edema", "heart failure", "fluid overload"), ("CHF", "pulm edema", "vol overload")),
    "cardiomegaly": (("cardiomegaly",), ("cardiomegaly",)),
    "consolidation": (("consolidation",), ("consolidation",)),
    "fracture": (("fracture", "rib fracture"), ("fx", "rib fx")),
    "nodule": (("nodule", "lung nodule"), ("nodule",)),
    "mass": (("mass", "malignancy"), ("mass", "CA")),
    "pneumoperitoneum": (("free air",), ("free air",)),
    "atelectasis": (("atelectasis",), ("atelectasis",)),
    "mediastinal_widening": (("widened mediastinum", "dissection"), ("dissection",)),
}
PAST: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "edema": (("congestive heart failure", "heart failure"), ("CHF", "HFpEF", "dCHF")),
    "pneumonia": (("recent pneumonia", "recurrent pneumonia"), ("recent PNA",)),
    "effusion": (("pleural effusion", "bilateral effusions", "malignant effusion"), ("pleural effusion",)),
    "pneumothorax": (("pneumothorax", "spontaneous pneumothorax"), ("PTX",)),
    "mass": (("lung cancer", "lung mass"), ("NSCLC", "lung CA")),
    "nodule": (("pulmonary nodule", "lung nodules"), ("lung nodules",)),
    "hyperinflation": (("COPD", "emphysema"), ("COPD",)),
    "fracture": (("rib fractures",), ("rib fx",)),
    "": (("hypertension", "diabetes", "atrial fibrillation", "asthma", "cirrhosis", "HIV", "breast cancer", "end-stage renal disease"),
         ("HTN", "DM", "AF", "ESRD on HD", "CAD", "afib", "ILD")),
}  # fmt: skip
ADDENDA: tuple[str, ...] = (
    "Findings were communicated by Dr. ___ to Dr. ___ at {TIME} on ___.",
    "The above findings were discussed with Dr. ___ by telephone on ___ at {TIME}.",
    "Comparison is now made to the CT from ___. The impression is unchanged.",
    "The patient's name in the original dictation should read ___.",
    "Upon further review, the findings above are unchanged.",
)
CLOSINGS: tuple[str, ...] = (
    "Findings were discussed with Dr. ___ by Dr. ___ by telephone at {TIME} on ___.",
    "Recommend follow-up radiographs to document resolution.",
    "Recommendation: Dedicated chest CT if clinically indicated.",
    "Results were communicated with Dr. ___ at {TIME} on ___ via telephone by Dr. ___.",
    "Follow-up to resolution is recommended.",
)
MISSPELLINGS: dict[str, str] = {
    "effusion": "effusoin", "pneumothorax": "pnuemothorax", "consolidation": "consoldiation", "atelectasis": "atelectesis",
    "cardiomegaly": "cardiomegally", "opacity": "opactiy", "pulmonary": "pulmonarry", "silhouette": "silhoutte", "unchanged": "unchaged",
    "mediastinal": "mediastnal", "interval": "inteval", "pleural": "plueral", "bilateral": "bilatreal", "edema": "edma",
    "pneumonia": "pnemonia", "evidence": "evidnece", "stable": "stabel", "moderate": "moderat", "tube": "tueb",
}  # fmt: skip
