"""Which product manages a PBX: nobody (a plain Asterisk), FreePBX or Issabel. Its dialplan tells."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Product(StrEnum):
    """What people see who set the PBX up: the names of menus and fields differ."""

    ASTERISK = "asterisk"
    FREEPBX = "freepbx"  # the AMI user may not read which version
    FREEPBX_16 = "freepbx16"  # 13 to 16, with Macro
    FREEPBX_17 = "freepbx17"  # 17 or later, with Gosub only
    ISSABEL = "issabel"  # also its ancestors with the same pages: Elastix, FreePBX before 13

    @property
    def profile(self) -> str:
        """Return the PBX profile whose settings fit."""
        return "asterisk" if self is Product.ASTERISK else "freepbx"


# What the generators of both products write, and nobody by hand. Fresh installations have them as well.
GENERATED = ("from-did-direct", "macro-exten-vm")
RINGING = "macro-exten-vm"  # the subroutine that rings an extension: its steps show the generation
# Global variables that FreePBX writes since 13. IssabelPBX (2.11, 2.12) does not.
FREEPBX_GLOBALS = ("ASTMANAGERHOST", "AMPBIN")


@dataclass(frozen=True)
class Evidence:
    """What a dialplan shows. `contexts`: which of GENERATED exist. `global_names`: which of FREEPBX_GLOBALS are set.

    `applications` are those of the steps of RINGING, None if they may not be read.
    """

    contexts: Collection[str]
    global_names: Collection[str] = ()
    applications: Collection[str] | None = None


def recognize(evidence: Evidence) -> Product:
    """Return the product that writes this dialplan."""
    if not set(GENERATED) <= set(evidence.contexts):
        return Product.ASTERISK
    if not evidence.global_names:
        return Product.ISSABEL
    if evidence.applications is None:
        return Product.FREEPBX
    return Product.FREEPBX_16 if "Macro" in evidence.applications else Product.FREEPBX_17
