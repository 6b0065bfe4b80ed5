"""Settings, each from the environment or .env (see .env.example). Reading them starts nothing.

The only traces that they leave are DATA_DIR and, unless SECRET_KEY is given, the secret key in it.
"""

from datetime import timedelta
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.management.utils import get_random_secret_key

from obdportal.environment import BASE_DIR, data_dir, env
from obdportal.files import write_once
from obdportal.logs import is_news

# --- Where things are kept ---------------------------------------------------------------------------------------

DATA_DIR = data_dir()
DATA_DIR.mkdir(parents=True, exist_ok=True)

MEDIA_ROOT = DATA_DIR / "media"
STATIC_ROOT = DATA_DIR / "static"
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]

# --- How people reach the portal ---------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
PORT = env.int("PORT", default=8000)
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://127.0.0.1:{PORT}").rstrip("/")
_public = urlsplit(PUBLIC_URL)
HTTPS = _public.scheme == "https"

# localhost stays allowed for the health checks of the machine itself.
ALLOWED_HOSTS = [*env.list("ALLOWED_HOSTS", default=[]), _public.hostname or "", "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]
# gunicorn itself speaks no TLS: a public https address means that a proxy stands in front.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=1 if HTTPS else 0)

# --- Security ----------------------------------------------------------------------------------------------------

SECRET_KEY = env.str("SECRET_KEY", default="") or write_once(DATA_DIR / "secret_key", get_random_secret_key)

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # load balancers ask from inside, without TLS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Browsers share cookies between all ports of a host: names of our own keep other Django sites on it signed in.
SESSION_COOKIE_NAME = "obdportal_session"
CSRF_COOKIE_NAME = "obdportal_csrf"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF],
        "media-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# Both together: a stranger can neither lock out a colleague from elsewhere nor a whole office behind one address.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"

AUDITLOG_CID_HEADER = None  # the log has room for 255 characters, the header of a client for any number

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_USER_MODEL = "calls.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

# --- Django ------------------------------------------------------------------------------------------------------

ROOT_URLCONF = "obdportal.urls"
WSGI_APPLICATION = "obdportal.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",  # operator classes in indexes
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "auditlog",
    "axes",
    "csp",
    "django_htmx",
    "pgtrigger",
    "procrastinate.contrib.django",
    "template_partials",
    "calls",  # last: when its roles are made after migrating, the permissions of all apps are there
]

MIDDLEWARE = [
    "obdportal.middleware.client_address",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "calls.views.polling.login_by_htmx",
    "calls.views.account.SignedOut",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "calls.context.portal",
            ],
        },
    }
]

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

# Uploads go to a temporary file at once: they are read from there and never held in memory.
FILE_UPLOAD_HANDLERS = ["calls.uploads.UploadHandler"]
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
DATA_UPLOAD_MAX_MEMORY_SIZE = 25 * 1024 * 1024  # a request without its files: long pasted lists of numbers

# --- Database and background jobs --------------------------------------------------------------------------------

# Without DATABASE_URL nobody has called obdportal.postgres.provide_database(): connecting fails, saying so.
DATABASES = {"default": env.db("DATABASE_URL", default="postgresql:///obdportal?host=/no-database-provided")}
DATABASES["default"] |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}

PROCRASTINATE_WORKER_DEFAULTS = {"fetch_job_polling_interval": 1.0}

# --- Language and time -------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-gb"
USE_I18N = False
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="Asia/Kolkata")

# --- Calling -----------------------------------------------------------------------------------------------------

DEFAULT_REGION = env.str("DEFAULT_REGION", default="IN").upper()
CARRIER = env.str("CARRIER", default="sandbox")
# The sandbox rings no phone.
CALLING_HOURS = env.str("CALLING_HOURS", default="00:00-24:00" if CARRIER == "sandbox" else "09:00-21:00")
CARRIER_CONNECTIONS = env.int("CARRIER_CONNECTIONS", default=4)
CARRIER_RATE = env.float("CARRIER_RATE", default=10.0)  # requests per second
CARRIER_CPS = env.float("CARRIER_CPS", default=0.0)  # calls that the obd carrier begins in a second; 0: not known
OBD_BASE_URL = env.str("OBD_BASE_URL", default="").rstrip("/")
OBD_API_KEY = env.str("OBD_API_KEY", default="")
OBD_TIMEOUT = env.float("OBD_TIMEOUT", default=30.0)  # seconds
OBD_RETRY_MINUTES = env.float("OBD_RETRY_MINUTES", default=15.0)
SANDBOX_SPEED = env.float("SANDBOX_SPEED", default=1.0)

# Without an address that others reach us at, the carrier is only asked; with one, it calls back.
CARRIER_CALLBACKS = bool(env.str("PUBLIC_URL", default=""))
CALL_EXPIRES = env.float("CALL_EXPIRES", default=6.0)  # hours

CALLBACK_ALLOW = env.list("CALLBACK_ALLOW", default=[])  # networks that callbacks may reach though they are inside

# --- First start -------------------------------------------------------------------------------------------------

ADMIN_USERNAME = env.str("ADMIN_USERNAME", default="admin")
ADMIN_PASSWORD = env.str("ADMIN_PASSWORD", default="")
DEMO_DATA = env.bool("DEMO_DATA", default=CARRIER == "sandbox")

# --- Logs: to stderr, without personal data ----------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": "obdportal.logs.PlainFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            "datefmt": "%Y-%m-%d %H:%M:%S%z",
        }
    },
    "filters": {"news": {"()": "django.utils.log.CallbackFilter", "callback": is_news}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["news"]}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # Django would add a handler of its own, and mail to admins.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        "axes": {"level": "ERROR"},  # below, it logs names and addresses; the database has them
        "procrastinate": {"level": "WARNING"},  # below, it logs the arguments of each job
    },
}
