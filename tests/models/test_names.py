"""The static list of names against timm's registry."""

import subprocess
import sys
from pathlib import Path

import pytest
import timm
from timm.models import _registry

from cnntrain.models import registry

OURS = ("timm", "cnntrain")  # other tests import networks of users'


def test_names_equal_the_registry():
    registry.register()
    made = {name for name, make in _registry._model_entrypoints.items() if make.__module__.split(".")[0] in OURS}
    assert registry.names() == made


def test_no_local_name_hides_one_of_timm():
    registry.register()
    for name in registry.local_names():
        assert timm.models.model_entrypoint(name).__module__.startswith("cnntrain.models.")
    zoo = registry.registered_in((Path(timm.__file__).parent / "models").glob("*.py"))
    assert not zoo & registry.local_names()


def test_names_are_found_without_importing_torch_or_timm():
    code = (
        "import sys; from cnntrain.models import registry;"
        "assert {'lenet5', 'vgg16', 'tv_densenet121'} <= registry.names();"
        "sys.exit(bool({'torch', 'timm', 'torchvision', 'numpy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_importing_the_package_registers_nothing():
    code = (
        "import timm; from cnntrain.models import registry; assert not timm.is_model('lenet5'); registry.register();"
        "registry.register(); assert timm.is_model('lenet5')"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_without_timm_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install timm"):
        registry.names.__wrapped__()
