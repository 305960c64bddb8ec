"""The providers' own descriptions of their APIs, and whether an exchange with the stand-ins is valid by them: Google's discovery
documents, and the models of Microsoft's msgraph-sdk. Both are read from wheels that are not installed."""

import base64
import copy
import datetime
import email
import email.policy
import json
import re
import urllib.parse
import zipfile

TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "number": (int, float)}
MADE = (200, 201, 202, 204)
# By method and path, the model of the request and of the answer; `*` stands for a list of them.
MODELS = {
    ("POST", "/v1.0/me/events"): ("models/event", "models/event"),
    ("GET", "/v1.0/me/calendarView"): (None, "*models/event"),
    ("POST", "/v1.0/me/messages"): ("models/message", "models/message"),
    ("GET", "/v1.0/me/messages/-"): (None, "models/message"),
    ("POST", "/v1.0/me/messages/-/send"): (None, None),
    ("DELETE", "/v1.0/me/messages/-"): (None, None),
    ("POST", "/v1.0/me/sendMail"): ("users/item/send_mail/send_mail_post_request_body", None),
    ("GET", "/v1.0/me/contacts"): (None, "*models/contact"),
    ("GET", "/v1.0/users"): (None, "*models/user"),
}
SEND_MAIL = MODELS["POST", "/v1.0/me/sendMail"][0]


def is_a(value, kind):
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def mime(text, where):
    """A MIME text in base64, of whichever alphabet, without defects."""
    body = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    message = email.message_from_bytes(body, policy=email.policy.SMTP)
    parts = [message, *message.walk()]
    assert message["To"] or message["Cc"] or message["Bcc"], f"{where}: it names nobody"
    assert not any(part.defects or any(value.defects for value in part.values()) for part in parts), f"{where}: {body}"


class Document:
    """What both kinds of documents share."""

    def refuses(self, exchange):
        """The documents do refuse what is wrong with such an exchange."""
        changes = [
            lambda wrong: wrong.update(method="PATCH"),
            lambda wrong: wrong.update(target=wrong["target"].replace("v", "w", 1)),
            lambda wrong: wrong.update(answer=[]),
            lambda wrong: wrong["answer"].update(unknown=1),
        ]
        if isinstance(exchange["request"], dict):
            changes.append(lambda wrong: wrong["request"].update(unknown=1))
            changes += [lambda wrong, name=name: wrong["request"].update({name: [[]]}) for name in exchange["request"]]
        else:
            changes.append(lambda wrong: wrong.update(request="no body of this kind"))
        for change in changes if isinstance(exchange["answer"], dict) else [*changes[:2], *changes[4:]]:
            wrong = copy.deepcopy(exchange)
            change(wrong)
            try:
                self.check(wrong)
            except (AssertionError, ValueError):
                continue
            raise AssertionError(f"the documents accept anything: {wrong}")


class Google(Document):
    """Google's discovery documents."""

    def __init__(self, wheel):
        self.methods = []
        with zipfile.ZipFile(wheel) as archive:
            for name in ("gmail.v1", "calendar.v3", "people.v1"):
                document = json.loads(archive.read(f"googleapiclient/discovery_cache/documents/{name}.json"))
                self.methods += [(document, method) for method in self.found(document)]

    def found(self, part):
        """Every method of a document."""
        for resource in part.get("resources", {}).values():
            yield from resource.get("methods", {}).values()
            yield from self.found(resource)

    def check(self, exchange):
        url = urllib.parse.urlsplit(exchange["target"])

        def is_asked(document, method):
            # Where an API is, the program is told by a variable.
            path = method["path"].removeprefix(f"{document['name']}/").removeprefix(f"{document['version']}/")
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
            return method["httpMethod"] == exchange["method"] and re.fullmatch(rf"/{document['name']}/v\d/{pattern}", url.path)

        [(document, method)] = [known for known in self.methods if is_asked(*known)] or [(None, None)]
        assert method, f"there is no such method: {exchange['method']} {url.path}"
        parameters = {**document["parameters"], **method.get("parameters", {})}
        given = urllib.parse.parse_qsl(url.query, keep_blank_values=True, strict_parsing=True) if url.query else []
        for parameter, value in given:
            assert parameter in parameters, f"?{parameter} is unknown"
            self.value(document, parameters[parameter], value, f"?{parameter}")
        names = [parameter for parameter, _ in given]
        for parameter, spec in parameters.items():
            assert spec.get("repeated") or names.count(parameter) <= 1, f"?{parameter} comes twice"
            assert not spec.get("required") or spec["location"] == "path" or parameter in names, f"?{parameter} is missing"
        if "request" in method:
            self.value(document, method["request"], exchange["request"], "request")
        else:
            assert exchange["request"] is None, exchange
        if exchange["status"] in MADE and "response" in method:
            self.value(document, method["response"], exchange["answer"], "answer")

    def value(self, document, schema, value, where, holder=()):
        if "$ref" in schema:
            schema = document["schemas"][schema["$ref"]]
        kind = schema["type"]
        if where.startswith("?") and kind in ("integer", "boolean"):
            value = json.loads(value)
        assert is_a(value, kind), f"{where}: {value!r} is no {kind}"
        assert "enum" not in schema or value in schema["enum"], f"{where}: {value!r}"
        assert "maximum" not in schema or value <= int(schema["maximum"]), f"{where}: {value!r}"
        if schema.get("format") == "date-time":
            # Of events, the zone may stand beside the time.
            at = datetime.datetime.fromisoformat(value)
            assert at.tzinfo or "timeZone" in holder, f"{where}: {value!r} has no offset"
        if schema.get("format") == "byte":
            mime(value, where)
        if kind == "array":
            for item in value:
                self.value(document, schema["items"], item, f"{where}[]")
        for name, inner in value.items() if kind == "object" else ():
            of = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            assert of, f"{where}: {name} is unknown"
            self.value(document, of, inner, f"{where}.{name}", value)


class Graph(Document):
    """The models of msgraph-sdk."""

    FIELD = re.compile(r'^ +"([^"]+)": lambda n : setattr\(self, \'\w+\', n\.get_(\w+)\((\w*)\)\),$', re.MULTILINE)

    def __init__(self, wheel):
        self.archive, self.known = zipfile.ZipFile(wheel), {}

    def source(self, path):
        return self.archive.read(f"msgraph/generated/{path}.py").decode()

    def fields(self, path):
        """The fields of a model and of those that it extends, each with how it is read and the path of its own model."""
        if path not in self.known:
            source = self.source(path)
            folder = path.rpartition("/")[0]

            def path_of(name):
                found = re.search(rf"^ *from (\.+)([\w.]*) import {name}$", source, re.MULTILINE)
                if not found:
                    # The model itself.
                    return path
                module = found[2].replace(".", "/")
                return f"{folder}/{module}" if found[1] == "." else module

            fields = {"@odata.type": ("str_value", None)}
            for base in re.search(r"^class \w+\(([^)]*)\)", source, re.MULTILINE)[1].split(", "):
                if base not in ("AdditionalDataHolder", "BackedModel", "Parsable"):
                    fields |= self.fields(path_of(base))
            for name, how, kind in self.FIELD.findall(source):
                # Names of an action's parameters are capitalised in the models, and in no example of the documentation.
                name = name if path.startswith("models/") else name[0].lower() + name[1:]
                fields[name] = (how, path_of(kind) if kind and kind[0].isupper() else None)
            assert len(fields) > 1, f"{path} has no fields"
            self.known[path] = fields
        return self.known[path]

    def check(self, exchange):
        url = urllib.parse.urlsplit(exchange["target"])
        path = re.sub(r"(?<=/messages/)[^/]+", "-", url.path)
        assert (exchange["method"], path) in MODELS, f"there is no such method: {exchange['method']} {path}"
        request, answer = MODELS[exchange["method"], path]
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True, strict_parsing=True) if url.query else [])
        for name in query.get("$select", "").split(",") if "$select" in query else ():
            assert name in self.fields(answer.removeprefix("*")), f"$select: {name} is unknown"
        if isinstance(exchange["request"], str) and request in ("models/message", SEND_MAIL):
            mime(exchange["request"], "request")
        elif request:
            self.value(request, exchange["request"], "request")
        else:
            assert exchange["request"] is None, exchange
        if exchange["status"] in MADE:
            several = answer and answer.startswith("*")
            if several:
                assert is_a(exchange["answer"], "object"), exchange
                assert set(exchange["answer"]) <= {"@odata.context", "@odata.nextLink", "value"}, exchange
            for one in exchange["answer"]["value"] if several else [exchange["answer"]] if answer else ():
                self.value(answer.removeprefix("*"), one, "answer")

    def value(self, path, value, where):
        fields = self.fields(path)
        assert isinstance(value, dict), f"{where}: {value!r} is no object"
        for name, inner in value.items():
            assert name in fields, f"{where}: {name} is unknown"
            how, of = fields[name]
            self.field(how, of, inner, f"{where}.{name}")

    def field(self, how, of, value, where):
        if how.startswith("collection_of_"):
            assert isinstance(value, list), f"{where}: {value!r} is no list"
            of_each = {"object_values": "object_value", "enum_values": "enum_value", "primitive_values": "str_value"}
            for one in value:
                self.field(of_each[how.removeprefix("collection_of_")], of, one, f"{where}[]")
        elif how == "object_value":
            self.value(of, value, where)
        elif how == "enum_value":
            values = re.findall(r'^    \w+ = "([^"]*)"', self.source(of), re.MULTILINE)
            assert str(value).lower() in [known.lower() for known in values], f"{where}: {value!r} is none of {values}"
        elif how == "datetime_value":
            assert datetime.datetime.fromisoformat(value).tzinfo, f"{where}: {value!r} has no offset"
        else:
            kinds = {"str_value": "string", "bool_value": "boolean", "int_value": "integer", "float_value": "number"}
            assert is_a(value, kinds[how]), f"{where}: {value!r} is no {kinds[how]}"
