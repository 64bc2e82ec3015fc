"""The patients' page: what a person outside may choose about messages. It holds no data, and reads nothing of the home.

    published    the one file that the hospital gives it: names, topics, channels, two keys
    link_token   what stands in a link: sealed for the hospital, and marked so that strangers' links are told apart
    choice       what a patient chose, sealed so that only the hospital opens it
    form         a form's fields → a wish, or none
    spool        the folder into which sealed choices are put
    pace         how often one link may be used
    pages, serve the page itself

Nothing here imports another room of the hospital's (import-linter): the process that runs it faces the internet.
"""
