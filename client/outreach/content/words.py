"""Whether a module's attributes are words of a contract: a model knows no others."""

from collections.abc import Iterator

from wardround.client.outreach.content.module import Module
from wardround.protocol.contract.codes import code_index
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.feature import Feature
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.section import shown

ATTRIBUTES = ("topic", "channel", "tone", "length")


def word_faults(module: Module, contract: Contract) -> Iterator[str]:
    """Give a fault for each attribute that the contract reads and whose word it does not know.

    A feature of messages belongs to an attribute by its name, or by its column; of the topic by the contract's own
    topic column. What no feature reads is free.
    """
    for attribute in ATTRIBUTES:
        feature = attribute_feature(attribute, contract)
        word = getattr(module, attribute)
        if feature is None or _knows(feature, word):
            continue
        hint = did_you_mean(word, feature.vocabulary)
        known = ", ".join(map(shown, feature.vocabulary))
        given = (
            f"{attribute}={shown(word)}: is no word of" if word else f"{attribute}: is missing; it is one of"
        )
        yield f"{given} the contract {contract.name} ({feature.name}); {hint}allowed: {known}"


def _knows(feature: Feature, word: str) -> bool:
    if feature.codes is not None:
        return code_index(feature.codes).node_of(word) is not None
    return word in feature.vocabulary


def attribute_feature(attribute: str, contract: Contract) -> Feature | None:
    """Give the feature of messages by which a contract reads an attribute of modules; None where it reads none."""
    own = contract.topic.column if attribute == "topic" and contract.topic else None
    features = [one for one in contract.features if one.table == "messages" and one.worded]
    named = [one for one in features if one.name == attribute or one.columns in ((attribute,), (own,))]
    return named[0] if named else None
