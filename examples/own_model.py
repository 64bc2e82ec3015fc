# %% [markdown]
# # A model of your own
# Any torch module whose logits each come from their own row. Opacus's hooks give each patient's gradient,
# which is clipped and noised as for the models that ship. docs/plugins.md has the rules.

# %%
from torch import Tensor, nn

import wardround


class Narrow(nn.Module):
    """One hidden layer of four units."""

    def __init__(self, layout) -> None:
        """Make the layers for a design of ``layout.width`` columns."""
        super().__init__()
        self.first, self.last = nn.Linear(layout.width, 4), nn.Linear(4, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """Give logits [patients, K] for rows [patients, K, width]."""
        return self.last(self.first(rows).tanh())[..., 0]


# %% [markdown]
# Is each patient's gradient what plain autograd gives for that patient alone? The largest difference:

# %%
print(wardround.check_model(Narrow))

# %%
study = wardround.simulate("experiment=tiny", model=Narrow, epsilon=2.0, rounds=5)
assert study.summary["patient_epsilon"] <= 2.0
print(study.table().drop("title"))
