"""The tables against a study: reached, columns and types, cells that parse, consent, eligible patients."""

from collections.abc import Iterator
from datetime import datetime

from wardround.client.checks.finding import Finding, failed, fault, guarded, ok, warn
from wardround.client.checks.full_sheets import FULL, FULL_REMEDY, full
from wardround.client.connectors.readable import count_unreadable, remedy, worst_first
from wardround.client.connectors.source import Tables, TableSource, read_tables
from wardround.client.connectors.table_format import describe_format
from wardround.client.gate.admit import admit
from wardround.client.gate.coverage import consent_coverage
from wardround.client.home.home import Home
from wardround.client.home.patients_known import patient_clauses, patients_known
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.policy.policy import Policy, at_approval, forecast
from wardround.client.train.check_training import check_training
from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.errors import TableError
from wardround.protocol.wire.signed_terms import SignedTerms

FEW_CONSENTED = 0.2


def reach(home: Home, contract: Contract) -> tuple[Tables | None, list[Finding]]:
    """Read every table, once for all that is looked at in them; None where one is not there as the contract asks."""
    read: list[Tables] = []

    def look() -> Iterator[Finding]:
        missing = list(_missing(home.source, contract))
        yield from missing
        if not missing:
            tables = read_tables(home.source, contract)
            yield from _reached(home, tables, contract)
            read.append(tables)

    findings = guarded("tables", look)
    return (read[0] if read else None), findings


def _reached(home: Home, read: Tables, contract: Contract) -> Iterator[Finding]:
    """Find every column of the contract, and count the cells that do not parse."""
    listed = [name for name in TABLES if getattr(read, name) is not None]
    for name in listed:
        read.part(name, contract)
    columns = sum(len(contract.columns(name)) for name in listed)
    yield ok(
        "tables", f"{', '.join(listed)} are readable, with all {columns} columns of contract {contract.name}"
    )
    formats = [f"{name}: {describe_format(home.source.format(name))}" for name in listed]
    yield ok("format", "; ".join(formats))
    yield from _readable(read, contract)


def _missing(source: TableSource, contract: Contract) -> Iterator[Finding]:
    """Name every table and column that cannot be read, not the first alone; nothing where all can."""
    for table in TABLES:
        if contract.columns(table) and source.has(table):
            try:
                source.read(table, contract.columns(table)).collect_schema()
            except TableError as error:
                yield failed("tables", error)


def _readable(read: Tables, contract: Contract) -> Iterator[Finding]:
    found = count_unreadable(read, contract)
    faults = worst_first(found)
    for one in faults:
        yield fault("types", f"{one.table}.{one.column}: {one.fault}", remedy(read, contract, one))
    for table, rows in {one.table: one.rows for one in found}.items():
        if full(rows):
            yield fault("rows", f"{table}: {rows:,} rows, {FULL}", FULL_REMEDY)
    given, bad = sum(one.given for one in found), sum(one.unreadable for one in found)
    if not any(one.rows for one in found if one.table == "messages"):
        yield fault(
            "types", "the messages table has no rows", "check the export, or the path in hospital.yaml"
        )
    elif not faults:
        worst = max(found, key=lambda one: one.unreadable / max(one.given, 1))
        most = f", most in {worst.table}.{worst.column}" if worst.unreadable else ""
        yield ok(
            "types", f"{bad / max(given, 1):.2%} of {given:,} cells do not parse{most}; they count as missing"
        )


def consent(home: Home, read: Tables, contract: Contract, now: datetime) -> Iterator[Finding]:
    """Say which share of the patients may be learned from, and who chose topics and sources."""
    covered = consent_coverage(read, contract, home.patients_key, now)
    if covered.patients == 0:
        yield fault(
            "consent", "no message has a patient's identifier", "name the patient's column in hospital.yaml"
        )
        return
    share = covered.consented / covered.patients
    text = f"{share:.0%} of {covered.patients:,} patients consent to {contract.purpose}"
    if not contract.consent.required:
        out = (
            f"{covered.consented:,} of {covered.patients:,} patients have not opted out of {contract.purpose}"
        )
        text = f"{out}; nobody was asked"
    if covered.topic_choosers:
        text += f"; {covered.topic_choosers:,} chose topics"
    for source, count in covered.by_source.items():
        text += f"; {count:,} opted in to {source}"
    if covered.consented == 0:
        yield fault("consent", text, "check kind, value and dates in the consents")
    elif share < FEW_CONSENTED:
        yield warn("consent", text, "if that is wrong, check kind and value in the consents")
    else:
        yield ok("consent", text)


def eligible(
    home: Home, read: Tables, policy: Policy, signed: SignedTerms, now: datetime
) -> Iterator[Finding]:
    """Compare eligible patients with the policy's floor, and δ with the declared number."""
    contract = signed.terms.contract
    counts = admit(read, contract, home.patients_key, now).counts
    patients = counts["training patients"]
    broken = [c for c in at_approval(policy, signed.terms, home.hospital, patients) if not c.holds]
    remedies = {
        "hospital": "correct `hospital` in hospital.yaml, or ask the operator to use its name",
        "min_patients": "wait for more patients, or lower the floor in policy.yaml",
        "max_delta_times_patients": "ask the operator for terms with a smaller δ",
        "max_patients": "split the hospital's tables, or ask us: the guarantee counts rounding up to this number",
    }
    for clause in broken:
        yield fault("patients", f"{clause.asked}; needed: {clause.allowed}", remedies[clause.name])
    if not broken:
        yield ok(
            "patients",
            f"{patients:,} may be learned from today (floor {policy.min_patients:,}); δ fits their number",
        )


def terms(
    home: Home, policy: Policy, ledger: SqliteLedger, signed: SignedTerms, now: datetime
) -> Iterator[Finding]:
    """Say whether policy and budget allow the study, approval aside."""
    settings = patient_clauses(home.source, signed.terms.contract)
    joins = ledger.would_join(patients_known(home, signed.terms.contract))
    seen = forecast(policy, signed.terms, signed.operator, ledger, now, settings, joins)
    broken = [clause for clause in seen.clauses if not clause.holds and clause.name != "approval"]
    for clause in broken:
        text = f"clause {clause.name}: {clause.asked}; allowed: {clause.allowed}"
        yield fault("terms", text, "change policy.yaml if you mean to allow it, or decline")
    if not broken:
        decision = ledger.decision(signed.terms.fingerprint, signed.operator) or "waiting for approval"
        yield ok(
            "terms",
            f"{signed.terms.study} would cost ε = {seen.epsilon:.3g}; policy and budget allow it; {decision}",
        )


def agreement(signed: SignedTerms) -> Iterator[Finding]:
    """Check that each patient's gradient is clipped by itself on this machine, and an own module for its digest."""
    worst = check_training(signed.terms)
    pair = "Opacus and autograd" if signed.terms.module_digest else "closed form and Opacus"
    yield ok("training", f"{pair} agree to {worst:.0e}")
