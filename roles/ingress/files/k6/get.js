// GETs of one URL. With RATE open loop: requests begin on time whatever the ingress does, and one that could not is a dropped request.
// Without RATE closed loop, as many clients as VUS, each request on a connection of its own: with https a whole handshake each, since Go's
// client resumes no session unless it is told to (wrk does: of its handshakes all but the first of each connection are short).
import http from 'k6/http';
import { Counter, Rate } from 'k6/metrics';

const { URL, MARKER, RATE, DURATION, VUS, MAX_VUS, REQUEST_TIMEOUT } = __ENV;

function load() {
  const common = { duration: DURATION, gracefulStop: REQUEST_TIMEOUT }; // what was started is measured to its end
  if (!RATE) {
    return { ...common, executor: 'constant-vus', vus: Number(VUS) };
  }
  const clients = { preAllocatedVUs: Number(VUS), maxVUs: Number(MAX_VUS) };
  return { ...common, ...clients, executor: 'constant-arrival-rate', rate: Number(RATE), timeUnit: '1s' };
}

// Where more than so much fails nothing more is learned: k6 stops, and ends with exit code 99. Not in the first seconds, in which a few requests are a
// large share, and not before as many were sent as the check on failed requests asks for its verdict.
const MOST_FAILED = 0.1;
const JUDGED = 3000;
const PATIENCE = Math.max(10, RATE ? Math.ceil(JUDGED / Number(RATE)) : 0);

export const options = {
  scenarios: { load: load() },
  thresholds: { http_req_failed: [{ threshold: `rate<=${MOST_FAILED}`, abortOnFail: true, delayAbortEval: `${PATIENCE}s` }] },
  noConnectionReuse: !RATE,
  noCookiesReset: true,
  insecureSkipTLSVerify: false, // SSL_CERT_FILE names the authority
  systemTags: ['error_code', 'group', 'name', 'status'], // short rows, which the parser of raw samples needs
  userAgent: 'kubeproof',
};

http.setResponseCallback(http.expectedStatuses(200));
const PARAMETERS = { tags: { name: 'GET' }, timeout: REQUEST_TIMEOUT, redirects: 0 };

// A good status of somebody else is no success: such a page is what an ingress may show that has too much to do. The parser counts it as a failed
// request, and so does what ends the load.
const unexpected = new Counter('kubeproof_unexpected');
const failed = new Rate('http_req_failed');
// What the generator itself has no free port for (EADDRNOTAVAIL of its own kernel) says nothing about the ingress, which nobody asked.
const withoutPort = new Counter('kubeproof_without_port');
const NO_PORT = 'cannot assign requested address';

export default function get() {
  const answer = http.get(URL, PARAMETERS);
  if (answer.status === 200 && !answer.error_code && MARKER && !answer.body.includes(MARKER)) {
    unexpected.add(1);
    failed.add(true);
  }
  if (answer.error_code === 1213 && answer.error.includes(NO_PORT)) {
    withoutPort.add(1);
  }
}
