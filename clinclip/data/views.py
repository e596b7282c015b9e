"""Which views of a study are used: named policies and lists."""

from __future__ import annotations

from clinclip.errors import ConfigError

#: views that show the chest from the side, as the publishers spell them
LATERAL = frozenset({"LATERAL", "LL", "XTABLE LATERAL", "RL", "L", "SWIMMERS"})

#: view policies: name -> the views it keeps, as the publishers spell them (None keeps all)
VIEW_POLICIES: dict[str, frozenset[str] | None] = {
    "all": None,
    # FRONTAL: the publisher does not say which of the two
    "frontal": frozenset({"AP", "PA", "FRONTAL"}),
    # every exposure through the front or back of the chest, lying and angled ones included
    "frontal-any": frozenset(
        {"AP", "PA", "FRONTAL", "AP AXIAL", "AP LLD", "PA LLD", "AP RLD", "PA RLD", "AP SUPINE"}
        # CheXpert's frontal images whose AP/PA column says LL or RL
        | {"FRONTAL LL", "FRONTAL RL"}
    ),
    "lateral": LATERAL,
}


def parse_views(spec: str) -> frozenset[str] | None:
    """The views that ``--views`` keeps: a policy name, or a comma-separated list of views ("PA,AP,AP AXIAL").

    Raises:
        ConfigError: the list is empty.
    """
    if spec in VIEW_POLICIES:
        return VIEW_POLICIES[spec]
    views = frozenset(part.strip().upper() for part in spec.split(",") if part.strip())
    if not views:
        raise ConfigError(f"--views {spec!r}: give {', '.join(VIEW_POLICIES)} or a list such as PA,AP")
    return views
