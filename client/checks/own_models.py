"""The hospital's own models: every word of policy.yaml means something, and what plugins.yaml names can be imported."""

from collections.abc import Iterator

from wardround.client.checks.finding import Finding, failed, fault, ok
from wardround.client.home.home import Home
from wardround.client.policy.policy import Policy
from wardround.protocol import plugins
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.plugin_file import PLUGINS
from wardround.protocol.terms.settings import MODEL_KINDS
from wardround.protocol.text.nearest import did_you_mean


def own_models(home: Home, policy: Policy) -> Iterator[Finding]:
    """Look at the words that the policy allows, then import each model of plugins.yaml; nothing where neither is."""
    known = (*MODEL_KINDS, *home.own_models)
    for word in policy.models:
        if word not in known:
            near = did_you_mean(word, known)
            text = f"policy.yaml allows the model {word}, which is neither built in nor named in {PLUGINS}"
            yield fault("plugins", text, near.strip() or f"map it in {PLUGINS}, or take it off the list")
    for word in home.own_models:
        try:
            plugins.find("model", word)
        except ConfigurationError as error:
            yield failed("plugins", error)
        else:
            yield ok("plugins", f"{word} can be imported")
