"""What of the server the outside reaches: Flower's fleet endpoint, which asks for a node's key, and the API, which asks for a token.

Flower serves its Control and Runtime APIs on the fleet's port, without any authentication, so nothing else is let through. What an
address may hold or ask for is bounded, so that whoever has no key cannot keep out those who have one: connections without a whole
request end within seconds, and there is room for some ten thousand of them.
"""

from __future__ import annotations

from string import Template

from afuic import tls
from afuic.deploy.pki import LOCAL
from afuic.settings import Api, Engine

ASKED = ("requests", "status", "models", "certificates", "audit", "inbox")
"""First parts of the API's paths below ``/v1/``."""
LARGEST_MESSAGE = "512m"
CONNECTIONS = 16384
"""For each of two worker processes, those to the SuperLink and the API included."""

_TEXT = Template("""\
# nginx in front of the federation: start it in this folder's name (nginx -p FOLDER -c nginx.conf); paths are relative to the folder.
daemon off;
worker_processes 2;
pid server/run/nginx.pid;
error_log stderr warn;

events {
    worker_connections $connections;
}

http {
    # Neither a query nor a header, nor what is as long as a token: somebody may have put one there. Lesser errors on the API's paths are
    # not logged either, since they would show the whole address.
    map $$uri $$path {
        "~[A-Za-z0-9_-]{40}" "(hidden)";
        default $$uri;
    }
    log_format plain '$$remote_addr [$$time_iso8601] $$request_method $$path $$status $$body_bytes_sent $$request_time';
    access_log /dev/stdout plain;
    server_tokens off;
    default_type application/octet-stream;
    client_body_temp_path server/run/nginx-body;
    proxy_temp_path server/run/nginx-proxy;
    fastcgi_temp_path server/run/nginx-unused;
    uwsgi_temp_path server/run/nginx-unused;
    scgi_temp_path server/run/nginx-unused;

    # A handshake and the head of a request have 10 s together; a body may take as long as it likes, while some of it comes.
    client_header_timeout 10s;
    client_body_timeout 30s;
    send_timeout 60s;
    keepalive_timeout 30s;
    lingering_timeout 5s;
    reset_timedout_connection on;

    # By address for all, since several hundred hospitals may share one; by node key for each. Flower asks again after 503, after 429 never.
    map $$http_flwr_public_key $$node {
        "~^[A-Za-z0-9+/=]{1,1024}$$" $$http_flwr_public_key;
        default "";
    }
    limit_conn_zone $$binary_remote_addr zone=connections:8m;
    limit_req_zone $$binary_remote_addr zone=addresses:4m rate=500r/s;
    limit_req_zone $$node zone=nodes:8m rate=20r/s;
    limit_req_zone $$binary_remote_addr zone=asking:4m rate=50r/s;
    limit_conn_status 503;
    limit_conn_log_level notice;
    limit_req_log_level notice;

    ssl_certificate server/tls.pem;
    ssl_certificate_key server/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers $ciphers;
    ssl_session_cache shared:tls:2m;
    ssl_session_tickets off;

    absolute_redirect off;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host localhost;
    proxy_set_header X-Forwarded-For $$remote_addr;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate ca/ca.pem;
    proxy_ssl_name localhost;
    proxy_ssl_server_name on;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_ciphers $ciphers;

    upstream superlink {
        server 127.0.0.1:$superlink max_fails=0;
        keepalive 64;
    }

    upstream api {
        server $api max_fails=0;
        keepalive 16;
    }

    server {
        listen $public ssl backlog=4096;
        client_max_body_size 64k;

        location ~ ^/v1/fleet/[a-z-]+$$ {
            if ($$node = "") {
                return 403;
            }
            if ($$request_method != POST) {
                return 403;
            }
            if ($$args) {
                return 403;
            }
            limit_conn connections 512;
            limit_req zone=addresses burst=1000 nodelay;
            limit_req zone=nodes burst=200 nodelay;
            limit_req_status 503;
            client_max_body_size $largest;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 600s;
            proxy_send_timeout 600s;
            proxy_pass https://superlink;
        }

        location ~ ^/v1/($asked)(/|$$) {
            error_log stderr crit;
            limit_conn connections 128;
            limit_req zone=asking burst=100 nodelay;
            limit_req_status 429;
            client_max_body_size $body;
            proxy_read_timeout 120s;
            proxy_pass $scheme://api;
        }

        location = /healthz {
            error_log stderr crit;
            limit_conn connections 128;
            limit_req zone=asking burst=100 nodelay;
            limit_req_status 429;
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
        connections=CONNECTIONS,
        ciphers=tls.SUITES,
        asked="|".join(ASKED),
        body=api.max_body_bytes,
        scheme="http" if api.certificate is None else "https",
    )
