"""The steps of one ``outreach propose`` (``client.outreach.propose`` tells the story).

library   which module of an id a patient may get: language, approval, authorisation
standard  the standard message of each patient who is due, or the rule that holds it
timing    the time slots of each patient
ending    which open proposals have lost their ground
rows      what the journal is given
teams     proposals to professionals: counts, and nothing else
"""
