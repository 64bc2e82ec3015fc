"""The widest groups of two public classifications, which a drafted contract lists for columns named after them.

ICD-10: the chapters of the World Health Organization's list, each so wide that the chapters of ICD-10-CM and ICD-10-GM
lie in it. ATC: anatomical main groups (WHO Collaborating Centre for Drug Statistics Methodology).
"""

ICD_10 = (
    "A00-B99", "C00-D49", "D50-D89", "E00-E90", "F00-F99", "G00-G99", "H00-H59", "H60-H95", "I00-I99", "J00-J99",
    "K00-K95", "L00-L99", "M00-M99", "N00-N99", "O00-O99", "P00-P96", "Q00-Q99", "R00-R99", "S00-T98", "U00-U99",
    "V00-Y99", "Z00-Z99",
)  # fmt: skip
ATC = ("A", "B", "C", "D", "G", "H", "J", "L", "M", "N", "P", "R", "S", "V")


def codes_of(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """Give the codes for a column whose name has these words, in lower case; None where it names neither list."""
    if "icd10" in "".join(words):
        return ICD_10
    return ATC if "atc" in words else None
