# %% [markdown]
# # A first study
# Three invented hospitals train one model together. Each method is measured on the same held-out patients.
# Run this file with Python, or open it as a notebook (VS Code, or Jupyter with jupytext).

# %%
import wardround

study = wardround.simulate("experiment=tiny", epsilon=2.0)
print(study)

# %% [markdown]
# The methods side by side. `epsilon` is the verified patient ε; it is null where nothing protects the patients.

# %%
print(study.table().drop("title"))

# %% [markdown]
# What the shared private model says of each held-out event. The AUC of these rows is the summary's.

# %%
print(study.predictions(model="federated_private").head())

# %% [markdown]
# Figures are matplotlib's, so you can change and save them.

# %%
figure = study.plot.methods()
figure.axes[0].set_title("Three small hospitals")
figure.savefig("methods.png")

# %% [markdown]
# Nothing was written but the figure. Keep the run in a folder, and read it back.

# %%
again = wardround.load(study.save("first_study"))
assert again.table().equals(study.table())
