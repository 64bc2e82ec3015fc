"""The page that tells patients of outreach: sentences that settings make, in the languages of message files.

facts      the settings that it is built from
sentences  which sentences these settings make, and the values that stand in them
language   the message files: one text for each sentence, in English and Spanish
page       one self-contained HTML page
"""
