"""Starts MiniStack with the kinds of resources that it lacks, each as a name with the attributes that the template reads."""

import sys

from ministack import app
from ministack.services.cloudformation import provisioners

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

    def update(physical_id, _before, _after, _stack_name):
        return physical_id, attributes

    return {"create": create, "update": update, "delete": lambda _physical_id, _properties: None}


def unless_of_several_metrics(of_one):
    """Alarms of one metric as MiniStack makes them; of others the name."""

    def choose(step):
        def run(first, properties, *rest):
            handlers = named({}) if "Metrics" in properties else of_one
            return handlers[step](first, properties, *rest)

        return run

    return of_one | {step: choose(step) for step in ("create", "delete")}


HANDLERS = provisioners._RESOURCE_HANDLERS
HANDLERS |= {kind: named(attributes) for kind, attributes in LACKING.items()}
HANDLERS["AWS::CloudWatch::Alarm"] = unless_of_several_metrics(HANDLERS["AWS::CloudWatch::Alarm"])

if __name__ == "__main__":
    sys.exit(app.main())
