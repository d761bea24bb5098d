"""What of the server the outside reaches: Flower's fleet endpoint, which asks for a node's key, and the API, which asks for a token.

Flower serves its Control and Runtime APIs on the fleet's port, without any authentication, so nothing else is let through.
"""

from __future__ import annotations

from string import Template

from afuic.deploy.pki import LOCAL
from afuic.settings import Api, Engine

ASKED = ("requests", "status", "models", "certificates", "audit", "inbox")
"""First parts of the API's paths below ``/v1/``."""
LARGEST_MESSAGE = "512m"

_TEXT = Template("""\
# nginx in front of the federation: start it in this folder's name (nginx -p FOLDER -c nginx.conf); paths are relative to the folder.
daemon off;
worker_processes 2;
pid server/run/nginx.pid;
error_log stderr warn;

events {
    worker_connections 1024;
}

http {
    access_log /dev/stdout;
    server_tokens off;
    default_type application/octet-stream;
    client_body_temp_path server/run/nginx-body;
    proxy_temp_path server/run/nginx-proxy;
    fastcgi_temp_path server/run/nginx-unused;
    uwsgi_temp_path server/run/nginx-unused;
    scgi_temp_path server/run/nginx-unused;

    limit_req_zone $$binary_remote_addr zone=asking:2m rate=20r/s;
    limit_req_status 429;

    ssl_certificate server/tls.pem;
    ssl_certificate_key server/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:2m;

    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $$host;
    proxy_set_header X-Forwarded-For $$remote_addr;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate ca/ca.pem;
    proxy_ssl_name localhost;
    proxy_ssl_server_name on;

    upstream superlink {
        server 127.0.0.1:$superlink;
        keepalive 16;
    }

    upstream api {
        server $api;
        keepalive 4;
    }

    server {
        listen $public ssl;
        client_max_body_size 64k;

        location /v1/fleet/ {
            client_max_body_size $largest;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 600s;
            proxy_send_timeout 600s;
            proxy_pass https://superlink;
        }

        location ~ ^/v1/($asked)(/|$$) {
            limit_req zone=asking burst=40 nodelay;
            client_max_body_size $body;
            proxy_read_timeout 120s;
            proxy_pass $scheme://api;
        }

        location = /healthz {
            limit_req zone=asking burst=40 nodelay;
            proxy_pass $scheme://api;
        }

        location / {
            return 403;
        }
    }
}
""")


def configuration(engine: Engine, api: Api) -> str:
    """``nginx.conf`` for these ports."""
    return _TEXT.substitute(
        superlink=engine.superlink_port,
        api=f"{'127.0.0.1' if api.host in ('0.0.0.0', '::') else api.host}:{api.port}",  # noqa: S104 - compared, not listened on
        public=engine.public_port if engine.public_host not in LOCAL else f"127.0.0.1:{engine.public_port}",
        largest=LARGEST_MESSAGE,
        asked="|".join(ASKED),
        body=api.max_body_bytes,
        scheme="http" if api.certificate is None else "https",
    )
