"""Every kind of finding and device the phantom knows, and which CheXpert observation it belongs to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding or device.

    Attributes:
        name: key.
        finding: CheXpert observation, or None for what the 14 do not cover.
        acute: may come and go between studies.
        device: a line, tube, implant or other foreign material.
        sides: sides it may have and their weights; empty for midline things.
        zones: places it may have and their weights.
    """

    name: str
    finding: str | None
    acute: bool = False
    device: bool = False
    sides: tuple[tuple[str, float], ...] = ()
    zones: tuple[tuple[str, float], ...] = ()


_LR = (("right", 0.52), ("left", 0.48))
_LRB = (("right", 0.36), ("left", 0.34), ("bilateral", 0.30))
_LOBES = (("upper", 0.2), ("mid", 0.12), ("lower", 0.5), ("perihilar", 0.1), ("retrocardiac", 0.08))

_KINDS = (
    Kind("effusion", "Pleural Effusion", True, sides=_LRB, zones=(("base", 1.0),)),
    Kind("pneumothorax", "Pneumothorax", True, sides=_LR, zones=(("apex", 0.8), ("base", 0.2))),
    Kind("cardiomegaly", "Cardiomegaly"),
    Kind("consolidation", "Consolidation", True, sides=_LR, zones=_LOBES),
    Kind("pneumonia", "Pneumonia", True, sides=(*_LR, ("bilateral", 0.15)), zones=_LOBES),
    Kind("opacity", "Lung Opacity", True, sides=(*_LR, ("bilateral", 0.3)), zones=_LOBES),
    Kind(
        "nodule",
        "Lung Lesion",
        sides=(*_LR, ("bilateral", 0.1)),
        zones=(("upper", 0.5), ("mid", 0.25), ("lower", 0.25)),
    ),
    Kind("mass", "Lung Lesion", sides=_LR, zones=(("upper", 0.45), ("perihilar", 0.3), ("lower", 0.25))),
    Kind("edema", "Edema", True, sides=(("bilateral", 1.0),), zones=(("perihilar", 1.0),)),
    Kind("atelectasis", "Atelectasis", True, sides=_LRB, zones=(("base", 0.75), ("mid", 0.1), ("retrocardiac", 0.15))),
    Kind(
        "fracture",
        "Fracture",
        sides=_LR,
        zones=(("rib", 0.72), ("clavicle", 0.1), ("vertebra", 0.13), ("humerus", 0.05)),
    ),
    Kind("pleural_thickening", "Pleural Other", sides=_LRB, zones=(("apex", 0.6), ("lateral", 0.4))),
    Kind("mediastinal_widening", "Enlarged Cardiomediastinum"),
    Kind("hyperinflation", None, sides=(("bilateral", 1.0),)),
    Kind("tortuous_aorta", None),
    Kind("degenerative", None),
    Kind("granuloma", None, sides=_LR, zones=(("upper", 0.5), ("mid", 0.25), ("lower", 0.25))),
    Kind("scoliosis", None, sides=_LR),
    Kind("elevated_hemidiaphragm", None, sides=_LR),
    Kind("hiatal_hernia", None),
    Kind("fibrosis", None, sides=(("bilateral", 1.0),), zones=(("base", 0.7), ("apex", 0.3))),
    Kind("subcutaneous_emphysema", None, True, sides=_LR, zones=(("lateral", 1.0),)),
    Kind("pneumoperitoneum", None, True),
    Kind("ett", "Support Devices", True, True),
    Kind("tracheostomy", "Support Devices", False, True),
    Kind("ng_tube", "Support Devices", True, True),
    Kind("feeding_tube", "Support Devices", True, True),
    Kind("picc", "Support Devices", True, True, sides=_LR),
    Kind("ij_line", "Support Devices", True, True, sides=(("right", 0.8), ("left", 0.2))),
    Kind("subclavian_line", "Support Devices", True, True, sides=_LR),
    Kind("port", "Support Devices", False, True, sides=(("right", 0.7), ("left", 0.3))),
    Kind("dialysis_catheter", "Support Devices", False, True, sides=(("right", 0.8), ("left", 0.2))),
    Kind("swan_ganz", "Support Devices", True, True, sides=(("right", 1.0),)),
    Kind("pacemaker", "Support Devices", False, True, sides=(("left", 0.85), ("right", 0.15))),
    Kind("icd", "Support Devices", False, True, sides=(("left", 0.92), ("right", 0.08))),
    Kind("chest_tube", "Support Devices", True, True, sides=_LR),
    Kind("pigtail", "Support Devices", True, True, sides=_LR),
    Kind("valve", "Support Devices", False, True),
    Kind("sternal_wires", None, False, True),
    Kind("clips", None, False, True, sides=_LR),
    Kind("spinal_hardware", "Support Devices", False, True),
)
KINDS: dict[str, Kind] = {k.name: k for k in _KINDS}
DEVICES: tuple[str, ...] = tuple(k.name for k in _KINDS if k.device)
