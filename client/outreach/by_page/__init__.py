"""The hospital's side of the patients' page: keys, links in messages, and what comes back through the spool.

settings  preferences.yaml: where the page is, and what it offers
keys      keys/preferences.key: from one secret, what seals links, marks them, and opens choices
links     the link of one message
arrived   the spool's files, read with care: whoever has the page's machine may write there
unheard   whose choices lie there at this moment, for an export that is under way
heard     choices become withdrawals; nothing of them can grant anything
"""
