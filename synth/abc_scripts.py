"""How ABC maps gates to a library's cells: scripts, from the smallest result to the fastest."""

# Simplify, then collect structural choices for the mapper to choose among.
_CLEAN = "strash; ifraig; scorr; dc2; dch -f"

# {D}: the target delay in ps. Buffers and sizes come last, as ABC knows the library's delays.
_SIZE = "buffer -c; topo; upsize -D {D}; dnsize -D {D}"

AREA = {
    "area": f"{_CLEAN}; amap; topo",
    "area-structure": "strash; dch; amap; topo",
    "area-gates": f"{_CLEAN}; amap -x; topo",
}
"""Mapping for area: with exclusive ors matched, with the structure left as it is, without exclusive ors."""

TIMED = {
    "area-sized": f"strash; dch -f; amap; topo; {_SIZE}",
    "flow-sized": "strash; &get -n; &fraig -x; &put; scorr; dc2; dch -f; strash; "
    f"&get -n; &nf -D {{D}}; &put; {_SIZE}",
    "delay-sized": f"{_CLEAN}; map -B 0.9 -D {{D}}; topo; {_SIZE}",
}
"""Mapping towards a target delay: of small area, balanced, of small delay; then gates are sized."""

DEFAULT = "area"


def script(name: str, delay_ps: float | None = None) -> str:
    """Returns the text of an ABC script. `delay_ps` is the longest path's, for the scripts of `TIMED`."""
    text = AREA[name] if delay_ps is None else TIMED[name].replace("{D}", str(max(1, round(delay_ps))))
    return text.replace("; ", "\n") + "\n"
