"""Write the bill of materials of a release (CycloneDX 1.6, JSON): the wheel, and every package of the lock.

``make sbom`` gives the same bytes for the same commit. A package stands there with the hashes of all its files that
the lock takes, and with the roles' files that name it.
"""

import argparse
import hashlib
import os
import tomllib
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from scripts.lock import EVERYTHING, ROOT, Locked, locked


def bill(project: Component, lock: dict[str, list[Locked]], released: datetime) -> Bom:
    """Put the project and the packages of its lock together."""
    roles: dict[tuple[str, str], dict[str, Locked]] = defaultdict(dict)
    for file, packages in lock.items():
        for package in packages:
            roles[package.name, package.version][file] = package
    bom = Bom(components=[component(by_file) for by_file in roles.values()])
    bom.metadata.component = project
    bom.metadata.timestamp = released
    # Of the content, so that a bill is told from another, and the same bill has the same number.
    content = repr((project.version, sorted(one.content for one in project.hashes), sorted(lock.items())))
    bom.serial_number = uuid5(NAMESPACE_OID, content)
    bom.register_dependency(project, bom.components)
    return bom


def component(by_file: dict[str, Locked]) -> Component:
    """Give one package; ``by_file`` has its line in each file of the lock that names it."""
    package = next(iter(by_file.values()))
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        purl=PackageURL("pypi", name=package.name, version=package.version),
        bom_ref=f"{package.name}=={package.version}",
        scope=ComponentScope.EXCLUDED if set(by_file) == {EVERYTHING} else ComponentScope.REQUIRED,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in package.hashes],
        properties=[Property(name="wardround:lock", value=file) for file in by_file],
    )


def project_itself(wheel: Path | None) -> Component:
    """Give Wardround itself, with its wheel's hash."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    hashes = [] if wheel is None else [hashlib.sha256(wheel.read_bytes()).hexdigest()]
    return Component(
        type=ComponentType.APPLICATION,
        name=project["name"],
        version=project["version"],
        purl=PackageURL("pypi", name=project["name"], version=project["version"]),
        bom_ref=project["name"],
        licenses=[LicenseExpression(project["license"])],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in hashes],
    )


def main() -> None:
    """Write the bill to a file; SOURCE_DATE_EPOCH says of which second it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--wheel", type=Path, help="the wheel whose hash it states")
    options = parser.parse_args()
    released = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    made = bill(project_itself(options.wheel), locked(), released)
    options.out.write_text(JsonV1Dot6(made).output_as_string(indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
