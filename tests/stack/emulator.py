"""Starts MiniStack with the kinds of resources that it lacks, each as a name with the attributes that the template reads."""

import sys
import time

from ministack import app
from ministack.core.responses import error_response_json
from ministack.services import dynamodb, secretsmanager
from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks

LACKING = {
    "AWS::EC2::EIP": {"AllocationId": "eipalloc-00000000"},
    "AWS::EC2::NatGateway": {},
    "AWS::ElastiCache::ServerlessCache": {"Endpoint.Address": "cache.invalid", "Endpoint.Port": "6379"},
    # Its own would start a server of their own.
    "AWS::ElastiCache::User": {},
    "AWS::ElastiCache::UserGroup": {},
}


def named(attributes):
    def create(logical_id, _properties, stack_name):
        return f"{stack_name}-{logical_id}", attributes

    def update(physical_id, _before, _after, *_names):
        return physical_id, attributes

    return {"create": create, "update": update, "delete": lambda _physical_id, _properties: None}


def unless_of_several_metrics(of_one):
    """Alarms of one metric as MiniStack makes them; of others the name."""

    def choose(step):
        def run(first, properties, *rest):
            handlers = named({}) if "Metrics" in properties else of_one
            return handlers[step](first, properties, *rest)

        return run

    def update(physical_id, before, after, *rest):
        handlers = named({}) if "Metrics" in after else of_one
        return handlers["update"](physical_id, before, after, *rest)

    return of_one | {step: choose(step) for step in ("create", "delete")} | {"update": update}


def with_names_of_the_api(of_api):
    """MiniStack keeps CORS by the names of CloudFormation, and reads it by those of the API."""

    def renamed(properties):
        cors = properties.get("CorsConfiguration", {})
        return properties | {"CorsConfiguration": {name[0].lower() + name[1:]: value for name, value in cors.items()}}

    def create(logical_id, properties, stack_name):
        return of_api["create"](logical_id, renamed(properties), stack_name)

    def update(physical_id, before, after, *rest):
        return of_api["update"](physical_id, renamed(before), renamed(after), *rest)

    return of_api | {"create": create, "update": update}


def with_functions_of_strings(evaluate):
    """Conditions with Fn::Select, Fn::Split and Fn::Sub of a parameter, which MiniStack only knows elsewhere."""

    def plain(node, params):
        if isinstance(node, dict) and "Fn::Select" in node:
            return engine._resolve_refs(node, {}, params, {}, {}, "", "")
        if isinstance(node, dict):
            return {name: plain(value, params) for name, value in node.items()}
        return [plain(value, params) for value in node] if isinstance(node, list) else node

    def run(template, params):
        conditions = plain(template.get("Conditions", {}), params)
        return evaluate({**template, "Conditions": conditions}, params)

    return run


for module in (changesets, handlers, stacks):
    module._evaluate_conditions = with_functions_of_strings(engine._evaluate_conditions)


def without_value(of_secret):
    """A secret that the template gives no value has none. MiniStack gives it an empty one."""

    def create(logical_id, properties, stack_name):
        name, attributes = of_secret["create"](logical_id, properties, stack_name)
        if not {"SecretString", "GenerateSecretString"} & properties.keys():
            secretsmanager._secrets[name]["Versions"] = {}
        return name, attributes

    return of_secret | {"create": create}


def with_backups_that_lag(restore):
    """A backup holds what was so some minutes ago on AWS, and some seconds ago here."""

    def run(request):
        if request.get("UseLatestRestorableTime") or float(request["RestoreDateTime"]) > time.time() - 3:
            return error_response_json("InvalidRestoreTimeException", "later than LatestRestorableDateTime", 400)
        return restore(request)

    return run


dynamodb._restore_table_to_point_in_time = with_backups_that_lag(dynamodb._restore_table_to_point_in_time)

HANDLERS = provisioners._RESOURCE_HANDLERS
HANDLERS |= {kind: named(attributes) for kind, attributes in LACKING.items()}
HANDLERS["AWS::ApiGatewayV2::Api"] = with_names_of_the_api(HANDLERS["AWS::ApiGatewayV2::Api"])
HANDLERS["AWS::SecretsManager::Secret"] = without_value(HANDLERS["AWS::SecretsManager::Secret"])
HANDLERS["AWS::CloudWatch::Alarm"] = unless_of_several_metrics(HANDLERS["AWS::CloudWatch::Alarm"])

if __name__ == "__main__":
    sys.exit(app.main())
