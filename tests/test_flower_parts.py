"""Contract with Flower: the parts that are not public there, and are used here. docs/flower.md says what to do."""

import importlib
import inspect

import pytest

PARTS = (
    "flwr.cli.build:build_fab_from_disk",
    "flwr.common.constant:SYSTEM_TIME_TOLERANCE",
    "flwr.common.constant:TIMESTAMP_HEADER",
    "flwr.common.constant:TIMESTAMP_TOLERANCE",
    "flwr.common.serde_utils:metadata_from_proto",
    "flwr.simulation.run_simulation:_run_simulation",
    "flwr.supercore.constant:FLEET_HTTP_PUBLIC_KEY_HEADER",
    "flwr.supercore.constant:FLEET_HTTP_SIGNATURE_HEADER",
    "flwr.supercore.constant:NodeStatus.UNREGISTERED",
    "flwr.supercore.control:ControlHttpClient.from_server_address",
    "flwr.supercore.heartbeat:HeartbeatSender",
    "flwr.supercore.inflatable.inflatable_object:iterate_object_tree",
    "flwr.supercore.inflatable.inflatable_utils:pull_objects",
    "flwr.supercore.interceptors:SuperExecAuthHttpInterceptor",
    "flwr.supercore.primitives.asymmetric:bytes_to_public_key",
    "flwr.supercore.runtime:RuntimeHttpClient.from_server_address",
    "flwr.supercore.task_identity:TaskIdentity",
    "flwr.superlink.cli.flower_superlink:SuperLinkLifespan",
    "flwr.superlink.cli.flower_superlink:_parse_superlink_lifespan_config",
    "flwr.superlink.grid.http_grid:HttpGrid",
    "flwr.superlink.main:create_app",
    "flwr.superlink.routers.fleet.node_auth:authenticate_node",
    "flwr.supercore.error:http_error_translator",
    "flwr.supercore.protobuf.translation:ProtobufTranslationMiddleware._check_request_media_type",
    "flwr.supercore.protobuf.translation:ProtobufTranslationMiddleware._parse_request",
    "flwr.supercore.corestate.sql_corestate:HEARTBEAT_PATIENCE",
    "flwr.superlink.servicer.runtime.runtime_handlers:pull_messages",
    "flwr.superlink.servicer.runtime.runtime_handlers:push_messages",
    "flwr.superlink.servicer.runtime.runtime_handlers:push_object",
    "flwr.supernode.fleet_http_connection:HeartbeatSender",
    "flwr.supercore.sql_mixin:SQLITE_PRAGMAS",
    "flwr.supercore.sql_mixin:SqlMixin.initialize",
    "flwr.superlink.servicer.fleet.fleet_handlers:check_abort",
    "flwr.superlink.servicer.fleet.fleet_handlers:confirm_message_received",
    "flwr.superlink.servicer.fleet.fleet_handlers:get_fab",
    "flwr.superlink.servicer.fleet.fleet_handlers:pull_object",
    "flwr.superlink.servicer.fleet.fleet_handlers:push_messages",
    "flwr.superlink.servicer.fleet.fleet_handlers:push_object",
    "flwr.server.superlink.linkstate:LinkState.get_node_info",
    "flwr.server.superlink.linkstate.sql_linkstate:SqlLinkState.get_valid_message_ins",
    "flwr.server.superlink.linkstate.sql_linkstate:SqlLinkState._cleanup_expired_task_tokens",
    "flwr.server.superlink.linkstate.sql_linkstate:SqlLinkState.finish_task",
    "flwr.server.superlink.linkstate.sql_linkstate:SqlLinkState.store_traffic",
    "flwr.supernode.cli.flower_supernode:_parse_args_run_supernode",
    "flwr.supernode.fleet_http_connection:HEARTBEAT_DEFAULT_INTERVAL",
    "flwr.supernode.fleet_http_connection:http_request_response",
    "flwr.supernode.nodestate:NodeStateFactory",
    "flwr.supernode.runtime.run_clientapp:LoadClientAppError",
    "flwr.supernode.runtime.run_clientapp:install_from_fab",
    "flwr.supernode.runtime.run_clientapp:pull_task_input",
    "flwr.supernode.start_client_internal:_insert_message",
    "flwr.supernode.start_client_internal:_pull_and_store_message",
    "flwr.supernode.start_client_internal:_push_messages",
    "flwr.supernode.start_client_internal:pull_objects",
    "flwr.supernode.start_client_internal:time",
)


@pytest.mark.parametrize("part", PARTS)
def test_flower_still_has(part):
    module, names = part.split(":")
    found = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(found, name)


def test_a_grids_client_still_takes_another_interceptor():
    """``open_run`` puts the operator's secret among them."""
    from flwr.superlink.grid.http_grid import HttpGrid

    grid = HttpGrid("127.0.0.1:1", root_certificates=None, token="t")
    assert isinstance(grid._runtime_client._interceptors, tuple)
    grid.close()


def test_what_flower_calls_of_fleet_is_what_the_doorkeeper_lets_through():
    from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES

    from wardround.server.network.doorkeeper import FLEET

    flowers = {path for _, path in PROTOBUF_REQUEST_TYPES if path.startswith("/v1/fleet/")}
    assert flowers - FLEET == {"/v1/fleet/register-node", "/v1/fleet/unregister-node"}
    assert flowers >= FLEET


def test_flower_checks_a_nodes_key_by_what_the_doorkeeper_reads():
    from flwr.superlink.routers.fleet import node_auth

    source = inspect.getsource(node_auth.authenticate_node)
    for name in ("PUBLIC_KEY_HEADER", "SIGNATURE_HEADER", "TIMESTAMP_HEADER", 'timestamp.encode("ascii")'):
        assert name in source
