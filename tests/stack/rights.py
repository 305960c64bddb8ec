"""What each function asks of AWS, and whether its policy allows that and nothing else.

MiniStack checks actions and resources, but not dynamodb:LeadingKeys. So each function has a door of its own in front of
MiniStack, which checks them, and notes the rights that are used."""

import fnmatch
import http.client
import http.server
import json
import threading

# Lambda uses these rights of a function for its event source.
OF_SOURCES = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
SERVICES = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "TrentService": "kms", "secretsmanager": "secretsmanager"}
# Says that a request came over TLS, to a server that stands behind what ends it.
TLS = {"X-Forwarded-Proto": "https"}
WRITES = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def asked(target, body):
    """A request as rights: action, resource as the request names it, and the leading key where there is one."""
    service, operation = target.rsplit(".", 1)
    service = SERVICES.get(service, service)

    def right(action, resource, key=None):
        return f"{service}:{action}", resource, key

    if service == "sqs":
        return [right(operation.removesuffix("Batch"), body["QueueUrl"].rsplit("/", 1)[1])]
    if service == "kms":
        return [right(operation, "key/")]
    if service == "secretsmanager":
        return [right(operation, body["SecretId"])]
    if operation == "BatchGetItem":
        return [right(operation, table, key["pk"]["S"]) for table, keys in body["RequestItems"].items() for key in keys["Keys"]]
    if operation == "TransactWriteItems":
        parts = [(WRITES[kind], part) for action in body["TransactItems"] for kind, part in action.items()]
        return [right(action, part["TableName"], (part.get("Item") or part["Key"])["pk"]["S"]) for action, part in parts]
    if operation == "Query":
        index = f"/index/{body['IndexName']}" if "IndexName" in body else ""
        return [right(operation, body["TableName"] + index, body["ExpressionAttributeValues"][":pk"]["S"])]
    return [right(operation, body["TableName"], (body.get("Item") or body["Key"])["pk"]["S"])]


def rights_of(policies):
    """A policy's rights, each with one action, one resource and one pattern of leading keys."""
    rights = set()
    for statement in (statement for policy in policies for statement in policy["Statement"]):
        # MiniStack wants a right for batches, which AWS does not know: the stack test adds it.
        many = [[one] if isinstance(one, str) else one for one in (statement["Action"], statement["Resource"])]
        condition = statement.get("Condition", {}).get("ForAllValues:StringLike", {})
        keys = condition.get("dynamodb:LeadingKeys", [None])
        actions = [action for action in many[0] if action != "sqs:SendMessageBatch"]
        rights |= {(action, resource, key) for action in actions for resource in many[1] for key in keys}
    return rights


def allows(right, request):
    action, resource, pattern = right
    wanted, name, key = request
    same_resource = resource.endswith((f"/{name}", f":{name}")) or resource == name or (name == "key/" and ":key/" in resource)
    return action == wanted and same_resource and (pattern is None or fnmatch.fnmatchcase(key or "", pattern))


# What takes a deployment of another shape: two workspaces with one account, a single head of the audit, or several at once, entries
# of an audit that an earlier version wrote; a look at several unclaimed jobs at once, or at one; several that are due in one
# partition of the index; a rollout that the cache has forgotten; a token that is renewed, by whom it may be, or a job that is
# accepted, when no plan or job has brought a data key; records of more than one item, which what is deflated seldom is.
RARE = {
    ("Admin", "dynamodb:GetItem", "AUDIT#*"),
    ("Admin", "dynamodb:BatchGetItem", "AUDIT#*"),
    ("Execute", "dynamodb:Query", "PLAN#*"),
    ("Execute", "kms:GenerateDataKey", None),
    ("Jobs", "dynamodb:Query", "JOB#*"),
    ("Mcp", "dynamodb:GetItem", "ROLLOUT#*"),
    ("Mcp", "dynamodb:PutItem", "CONNECTION#*"),
    ("Mcp", "dynamodb:Query", "JOB#*"),
    ("Mcp", "dynamodb:Query", "PLAN#*"),
    ("Plan2", "dynamodb:Query", "PLAN#*"),
    ("Plan2", "dynamodb:PutItem", "CONNECTION#*"),
    ("Mcp", "secretsmanager:GetSecretValue", None),
    ("Plan2", "secretsmanager:GetSecretValue", None),
    ("Sweep", "dynamodb:BatchGetItem", "CHAIN#*"),
    ("Sweep", "dynamodb:BatchGetItem", "DELIVERY#*"),
    ("Sweep", "dynamodb:BatchGetItem", "JOB#*"),
    ("Worker", "dynamodb:Query", "JOB#*"),
    ("Connect", "dynamodb:BatchGetItem", "CONNECTION#*"),
    ("Sweep", "dynamodb:GetItem", "CHAIN#*"),
    ("Jobs", "dynamodb:GetItem", "AUDIT#*"),
    ("Jobs", "dynamodb:BatchGetItem", "AUDIT#*"),
    ("Metrics", "dynamodb:GetItem", "JOB#*"),
    ("Metrics", "dynamodb:BatchGetItem", "JOB#*"),
    ("Worker", "kms:GenerateDataKey", None),
}


class Doors:
    """A door for each function."""

    def __init__(self, port):
        self.port = port
        self.rights, self.used, self.refused, self.servers = {}, {}, [], {}

    def url(self, function):
        if function not in self.servers:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self, function))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.servers[function] = server
            self.used[function] = set()
        return f"http://127.0.0.1:{self.servers[function].server_port}"

    def refuses(self, function, target, body):
        for request in asked(target, body):
            used = {right for right in self.rights[function] if allows(right, request)}
            self.used[function] |= used
            # MiniStack decides on the rest.
            if not used and request[0].startswith("dynamodb:"):
                self.refused.append((function, *request))
                return request[0]
        return None

    def spare(self):
        """The rights that no function has used."""
        spare = [(function, *right) for function, rights in self.rights.items() for right in rights - self.used[function]]
        of_any = set().union(*self.used.values())
        return sorted((entry for entry in spare if not needed(entry, of_any)), key=str)


def needed(entry, of_any):
    """Whether a right that its function did not use here is needed all the same."""
    function, action, _, key = entry
    if action in OF_SOURCES and function in ("Worker", "DeadLetters"):
        return True
    # Whichever function is the first to see a key today records its use.
    if key == "USED#*" and action == "dynamodb:PutItem":
        return entry[1:] in of_any
    return (function, action, key) in RARE


def handler(doors, function):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            denied = doors.refuses(function, self.headers["X-Amz-Target"], json.loads(body))
            if denied:
                text = json.dumps({"__type": "com.amazon.coral.service#AccessDeniedException", "Message": denied}).encode()
                self.answer(400, {"Content-Type": "application/x-amz-json-1.0"}, text)
                return
            upstream = http.client.HTTPConnection("127.0.0.1", doors.port, timeout=60)
            # The signature covers the headers, the host among them.
            upstream.request("POST", self.path, body, dict(self.headers) | TLS)
            got = upstream.getresponse()
            self.answer(got.status, dict(got.getheaders()), got.read())
            upstream.close()

        def answer(self, status, headers, body):
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
