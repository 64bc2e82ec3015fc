"""The file beside a model that says how far noise may have moved it: tied to its contract, refused where it is none."""

import numpy as np
import pytest

from tests.builders import small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ContractError
from wardround.protocol.model.model_file import model_bytes
from wardround.protocol.model.weight_error_file import read_weight_error, weight_error_bytes
from wardround.protocol.terms.settings import ModelSettings

CONTRACT = contract_from_mapping(small_contract())


def test_what_is_written_is_read_back_and_the_same_bytes_each_time():
    factor = np.random.default_rng(1).normal(size=(CONTRACT.layout.width, 3))
    content = weight_error_bytes(CONTRACT, factor)
    assert content == weight_error_bytes(CONTRACT, factor)
    np.testing.assert_allclose(read_weight_error(content, CONTRACT, "x"), factor, rtol=1e-6)


def test_what_does_not_fit_is_refused():
    width = CONTRACT.layout.width
    other = contract_from_mapping(small_contract(name="other"))
    for content in (
        weight_error_bytes(other, np.eye(width)),
        weight_error_bytes(CONTRACT, np.eye(width + 1)),
        weight_error_bytes(CONTRACT, np.full((width, 1), np.nan)),
        model_bytes(CONTRACT, ModelSettings(), np.zeros(width), {}),
        b"nothing",
    ):
        with pytest.raises(ContractError):
            read_weight_error(content, CONTRACT, "x")
