"""Trim the vendored stylesheet and font to what the panel uses. The originals are in script/vendor. See script/trim.

The tools are not needed by anything else, so they are fetched into a folder of their own. lightningcss and fontTools
come from PyPI, because everything else of this repository runs without Node.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("lightningcss==0.3.2", "fonttools==4.68.0", "brotli==1.2.1")
TOOLS_HOME = ROOT / ".cache/trim"
ORIGINALS, VENDOR = ROOT / "script/vendor", ROOT / "app/static/vendor"
STYLES = "tabler@1.6.1/tabler.min.css", "tabler@1.6.1/tabler.css"
FONT = "vazirmatn@33.0.3/Vazirmatn-wght.woff2", "vazirmatn@33.0.3/Vazirmatn-400-800.woff2"
USERS = ("app/templates/**/*.html", "app/static/js/**/*.js", "app/web/**/*.py")
# Latin-1 with the punctuation of texts, and all that is Arabic. Browsers take other letters from a font of the device.
LETTERS = (
    *("20-7E", "A0-FF", "131", "152-153", "200B-200F", "2010-2027", "202A-202F", "2030", "2039-203A", "2066-2069"),
    *("20AC", "2122", "2190-2193", "2212", "25CC", "600-6FF", "FDF2", "FDFC"),
)
WEIGHTS = (400, 800)
_CLASS = re.compile(r"\.(-?[_a-zA-Z](?:[\w-]|\\.)*)")
_NO_NAMES = re.compile(r"/\*.*?\*/|url\([^)]*\)|\"[^\"]*\"", re.DOTALL)
# Of a name that is put together: btn-{{ kind }}, `btn-${kind}`, "btn-" + kind
_BEGINNING = re.compile(r"\b([A-Za-z][\w-]*-)(?=\{\{|\{%|\$\{|[\"'`])")


def main() -> int:
    """Fetch the tools and write both files."""
    options = ["--quiet", "--upgrade", "--no-deps", "--disable-pip-version-check", "--target", str(TOOLS_HOME)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *TOOLS], check=True)
    sys.path.insert(0, str(TOOLS_HOME))
    _trim_styles()
    _trim_font()
    for name in (STYLES[1], FONT[1]):
        print(f"{(VENDOR / name).relative_to(ROOT)}: {(VENDOR / name).stat().st_size:,} bytes")
    return 0


def classes(css: str) -> set[str]:
    """Return the names of all classes in a stylesheet."""
    return _named_classes(_NO_NAMES.sub("", css))


def _named_classes(selectors: str) -> set[str]:
    """Return the names of the classes in selectors, which have no comments, URLs and texts."""
    return {re.sub(r"\\(.)", r"\1", name) for name in _CLASS.findall(selectors)}


def needed_classes() -> set[str]:
    """Return the classes of Tabler that templates and scripts may use.

    Every word counts, so a class of that name is kept in doubt.
    """
    texts = "\n".join(path.read_text(encoding="utf-8") for pattern in USERS for path in ROOT.glob(pattern))
    words = set(re.findall(r"[A-Za-z_][\w-]*", texts))
    beginnings = tuple(set(_BEGINNING.findall(texts)))
    existing = classes((ORIGINALS / STYLES[0]).read_text(encoding="utf-8"))
    return {name for name in existing if name in words or name.startswith(beginnings)}


def lacking_classes() -> set[str]:
    """Return the classes that Tabler has, that are used, and that the trimmed stylesheet lacks."""
    needed = needed_classes()
    original = _NO_NAMES.sub("", (ORIGINALS / STYLES[0]).read_text(encoding="utf-8"))
    wanted = set()
    for selectors in re.findall(r"(?<=[{}])([^{}]+)\{", "}" + original):
        if ":is(" in selectors or ":where(" in selectors:
            continue  # only of navigations that the panel does not have
        for selector in re.sub(r":not\([^()]*\)", "", selectors).split(","):
            names = _named_classes(selector)
            if names <= needed:  # a rule for several classes applies if all of them are used
                wanted |= names
    return wanted - classes((VENDOR / STYLES[1]).read_text(encoding="utf-8"))


def _trim_styles() -> None:
    import lightningcss

    css = (ORIGINALS / STYLES[0]).read_text(encoding="utf-8")
    head = css[css.index("/*!") : css.index("*/") + 2]
    trimmed = lightningcss.process_stylesheet(css, unused_symbols=classes(css) - needed_classes(), minify=True)
    (VENDOR / STYLES[1]).write_text(f"{head}\n/* Trimmed by script/trim. */\n{trimmed}\n", encoding="utf-8")


def _trim_font() -> None:
    from fontTools import subset
    from fontTools.varLib import instancer

    options = subset.Options(flavor="woff2", glyph_names=False, hinting=False, name_IDs=["*"])
    font = subset.load_font(ORIGINALS / FONT[0], options)
    font.recalcTimestamp = False  # the same input makes the same file
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=subset.parse_unicodes(",".join(LETTERS)))
    subsetter.subset(font)
    font = instancer.instantiateVariableFont(font, {"wght": WEIGHTS})
    font.flavor = "woff2"
    subset.save_font(font, VENDOR / FONT[1], options)


if __name__ == "__main__":
    sys.exit(main())
