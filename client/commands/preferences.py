"""``preferences``: the patients' page. Three words are for the home, and ``serve`` for the page's own folder."""

from argparse import Namespace

from wardround.client.commands.terminal import say
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_new
from wardround.protocol.text.log import report
from wardround.protocol.text.say import say_json


def run(options: Namespace) -> None:
    """Set the page up, or serve it."""
    _ACTIONS[options.action](options)


def _serve(options: Namespace) -> None:
    # No part of a home is imported here, nor are its tables: this process faces the internet.
    from wardround.client.preferences.serve import load_page, serve_page

    page = load_page(options.home)
    report(f"The patients' page at {page.served.address}:{page.served.port}, for {page.published.url}")
    serve_page(page)


def _begin(options: Namespace) -> None:
    from wardround.client.home.home import load_home
    from wardround.client.outreach.by_page.keys import PREFERENCES_KEY, begin_page_keys
    from wardround.client.outreach.by_page.settings import begin_page_settings

    home = load_home(options.home).folder
    # The key first: with the settings every message gets a link, which needs it.
    if not (home / PREFERENCES_KEY).exists():
        begin_page_keys(home)
    path = begin_page_settings(home)
    if options.json:
        say_json({"written": [str(path), str(home / PREFERENCES_KEY)]})
        return
    say(f"Written: {path}", "Edit it, then: wardround-hospital preferences publish preferences.json")


def _publish(options: Namespace) -> None:
    from wardround.client.home.home import load_home
    from wardround.client.notice.hospital_words import hospital_words
    from wardround.client.notice.words import plain
    from wardround.client.outreach.by_page.keys import load_page_keys
    from wardround.client.outreach.by_page.settings import PREFERENCES, page_settings, published_of
    from wardround.client.outreach.triggers.settings_file import settings_of
    from wardround.client.preferences.link_token import BY_LINK, TOKEN_CHARACTERS
    from wardround.client.preferences.published import spelled

    home = load_home(options.home)
    settings = page_settings(home.folder)
    if settings is None:
        raise ConfigurationError(
            f"{PREFERENCES}: there is none; begin with: wardround-hospital preferences begin"
        )
    words = hospital_words(home.folder)
    published = published_of(
        settings,
        settings_of(home.folder),
        words.topics,
        load_page_keys(home.folder),
        name=words.name or plain(home.hospital),
        timezone=home.timezone,
    )
    write_new(options.file, spelled(published), 0o600)
    link = len(settings.url) + len(BY_LINK) + TOKEN_CHARACTERS
    if options.json:
        say_json({"out": str(options.file), "topics": list(published.topics), "link_characters": link})
        return
    say(
        f"Written to {options.file}: {len(published.topics)} topics, {len(published.channels)} channels. Put it where "
        "the page runs, for its user alone.",
        f"A link has {link} characters; guidelines.yaml, so that texts are counted with it: placeholders: "
        f"{{preferences: {link}}}",
    )


def _new_key(options: Namespace) -> None:
    from wardround.client.home.home import load_home
    from wardround.client.outreach.by_page.keys import add_page_key

    number = add_page_key(load_home(options.home).folder)
    if options.json:
        say_json({"key": number})
        return
    say(
        f"Key {number} seals links from now on.",
        "Publish anew before the next export: the page does not know the new links yet.",
    )


_ACTIONS = {"begin": _begin, "publish": _publish, "new-key": _new_key, "serve": _serve}
