# %% [markdown]
# # A table of your own
# You need a table with one row per message, and a contract that says how its columns become features.
# Here the table is invented. Yours may be CSV or Parquet.

# %%
import polars as pl

import wardround

invented = wardround.draw_tables(hospitals=3, patients=600, messages=2000, smallest=50, largest=400)
invented.messages.rename({"hospital": "clinic"}).write_csv("messages.csv")

# %% [markdown]
# Bounds, bins and words are public knowledge: never read them off the table. docs/contract.md has every key.
# `hospital` names the column by which a simulation splits the table into hospitals.

# %%
contract = wardround.read_contract(
    {
        "name": "reminders",
        "version": 1,
        "purpose": "appointment_reminder",
        "patient": "patient",
        "hospital": "clinic",
        "decided_at": "decided_at",
        "outcome_at": "outcome_at",
        "label": {"column": "engaged", "engaged": ["1"], "not_engaged": ["0"], "expected_rate": 0.5},
        "events_per_patient": 8,
        "consent": {"required": False, "basis": "invented patients"},
        "features": {
            "channel": {
                "kind": "categorical",
                "column": "channel",
                "vocabulary": ["sms", "email", "portal", "phone"],
            },
            "hour": {"kind": "hour", "column": "decided_at", "edges": [9, 12, 17]},
            "past_rate": {"kind": "history", "statistic": "rate", "edges": [0.34, 0.67, 1.0]},
        },
        "crosses": [["channel", "hour"]],
    }
)

# %% [markdown]
# A simulation on a real table protects nobody in it: noise comes from a seed, and baselines have none.

# %%
study = wardround.simulate("data=table", {"data.path": "messages.csv"}, contract=contract, rounds=10)
print(study.table().drop("title"))

# %% [markdown]
# The model predicts for rows of any table under this contract. Null: the gate sets the row aside.

# %%
messages = pl.read_csv("messages.csv")
print(messages.with_columns(study.model.predict(messages)).select("clinic", "channel", "probability").head())
