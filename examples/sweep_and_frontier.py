# %% [markdown]
# # A sweep and its frontier
# What accuracy does each ε buy? One study for each combination of the values.

# %%
import wardround

sweep = wardround.sweep({"epsilon": [1.0, 4.0], "seed": [0, 1]}, "experiment=tiny")
print(sweep.table().select("epsilon", "seeds", "method", "auc", "auc_sd"))

# %% [markdown]
# A line for every private method, with one standard deviation over seeds. Dashed: without privacy.

# %%
figure = sweep.plot()
figure.savefig("frontier.svg")

# %% [markdown]
# How much noise does a target need, and how many rounds fit under a hospital's cap?

# %%
accountant = wardround.Accountant(delta=1e-5)
noise = accountant.noise_for(1.0, steps=40)
spent = accountant.spend(noise, count=40)
print(
    f"σ = {noise:.2f} costs ε = {spent.epsilon:.3f}; {spent.steps_within(3.0, noise)} more rounds fit under ε = 3"
)
