// Open-loop load on a Kubernetes API server: a set mix of requests over ConfigMaps, Secrets and Leases in one namespace.
//
// One iteration is one request, so that the rate of iterations is the rate of requests, and one that could not be started in time is a
// dropped request. Each VU (a virtual client of k6) has a connection of its own, with TLS and HTTP/2, and one request at a time on it.
// That is how a cluster looks: many clients (kubelets, controllers), each with its connection and few requests on it. Many requests on one
// connection would wait for each other in the client and be limited by the server's streams per connection: neither is its latency.
import http from 'k6/http';
import exec from 'k6/execution';
import encoding from 'k6/encoding';

function setting(name, otherwise) {
  const value = __ENV[name] || otherwise;
  if (value === undefined) {
    throw new Error(`${name} is not set`);
  }
  return value;
}

function number(name, otherwise) {
  const value = Number(setting(name, otherwise));
  if (!(value >= 0)) {
    throw new Error(`${name} is ${__ENV[name]}, not a number`);
  }
  return value;
}

const SERVER = setting('SERVER');
const NAMESPACE = setting('NAMESPACE');
const RUN_ID = setting('RUN_ID');
const TOKEN = setting('TOKEN');
const GENERATOR = number('GENERATOR', '0');
const OBJECTS = number('OBJECTS', '100'); // of each kind, for each generator
const SIZE = number('OBJECT_BYTES', '1000');
const PAGE_SIZE = number('PAGE_SIZE', '500');
const TIMEOUT = setting('REQUEST_TIMEOUT', '60s'); // the API server's own
// Requests of each sort in every hundred or so; each is spread evenly over the kinds, but for LIST pods, which reads those of the whole cluster.
// CHURN creates an object and deletes it the next time.
const MIX = JSON.parse(setting('MIX', '{"GET": 70, "PATCH": 15, "PUT": 5, "CHURN": 5, "LIST": 3, "LIST all": 1, "LIST pods": 1}'));

function options_of_load() {
  const common = {
    timeUnit: '1s',
    preAllocatedVUs: number('VUS', '20'),
    maxVUs: number('MAX_VUS', '100'),
    gracefulStop: TIMEOUT, // what was started is measured to its end
  };
  const rate = number('RATE');
  const duration = setting('DURATION');
  if (__ENV.START_RATE) {
    return { ...common, executor: 'ramping-arrival-rate', startRate: number('START_RATE'), stages: [{ target: rate, duration }] };
  }
  return { ...common, executor: 'constant-arrival-rate', rate, duration };
}

// Where more than so much fails nothing more is learned: k6 stops, deletes what it made, and ends with exit code 99. Not in the first seconds, in which a few
// requests are a large share, and not before as many were sent as the check on failed requests asks for its verdict.
const MOST_FAILED = number('MOST_FAILED', '0.1');
const JUDGED = 3000;
const PATIENCE = Math.max(10, Math.ceil(JUDGED / number('RATE')));

export const options = {
  scenarios: { load: options_of_load() },
  thresholds: { http_req_failed: [{ threshold: `rate<=${MOST_FAILED}`, abortOnFail: true, delayAbortEval: `${PATIENCE}s` }] },
  discardResponseBodies: true,
  systemTags: ['error_code', 'group', 'name', 'status'], // short rows, which the parser of raw samples needs; a request has nine of them
  insecureSkipTLSVerify: false, // SSL_CERT_FILE names the authority
  noCookiesReset: true,
  maxRedirects: 0,
  userAgent: `kubeproof/${RUN_ID}`,
  setupTimeout: '120s',
  teardownTimeout: '60s',
};

http.setResponseCallback(http.expectedStatuses({ min: 200, max: 299 }));

const LABELS = { 'app.kubernetes.io/managed-by': 'kubeproof', 'kubeproof.io/run': RUN_ID, 'kubeproof.io/generator': String(GENERATOR) };
const FILLING = 'x'.repeat(SIZE);

// What a kind needs: where it is, what it holds; `replaceable` without its resourceVersion, which a Lease is not.
const KINDS = {
  configmaps: {
    base: `/api/v1/namespaces/${NAMESPACE}/configmaps`,
    replaceable: true,
    content: (mark) => ({ data: { mark, filling: FILLING } }),
    change: (mark) => ({ data: { mark } }),
  },
  secrets: {
    base: `/api/v1/namespaces/${NAMESPACE}/secrets`,
    replaceable: true,
    content: (mark) => ({ data: { mark: encoding.b64encode(mark), filling: encoding.b64encode(FILLING) } }),
    change: (mark) => ({ data: { mark: encoding.b64encode(mark) } }),
  },
  leases: {
    base: `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`,
    replaceable: false,
    content: (mark) => ({ spec: { holderIdentity: mark, leaseDurationSeconds: 40 } }),
    change: (mark) => ({ spec: { holderIdentity: mark } }),
  },
};

function request(name, method, path, body, type) {
  const headers = { Authorization: `Bearer ${TOKEN}` };
  if (body) {
    headers['Content-Type'] = type || 'application/json';
  }
  const parameters = { headers, tags: { name }, timeout: TIMEOUT };
  return [method, SERVER + path, body ? JSON.stringify(body) : null, parameters];
}

function send(...description) {
  return http.request(...request(...description));
}

function reason(answer) {
  if (!answer.status) {
    return answer.error;
  }
  let said = '';
  try {
    said = `: ${JSON.parse(answer.body).message}`;
  } catch (error) {
    // No Status of the API server: a proxy's page, or nothing.
  }
  return `the API server answers ${answer.status}${said}`;
}

const object = (kind, name, mark) => ({ metadata: { name, labels: LABELS }, ...KINDS[kind].content(mark) });
const create = (kind, name, mark) => [`POST ${kind}`, 'POST', KINDS[kind].base, object(kind, name, mark)];

// The name of an object that is there during the whole load.
const lasting = (prefix, index) => `load-${prefix}-${index % OBJECTS}`;

// What this VU created and has not deleted. No other VU touches it, so that no answer is 404 or 409.
let created = null;

function churn(kind, mark, dummy, prefix) {
  if (created) {
    const { kind: old, name } = created;
    // Whether a DELETE without an answer happened is unknown: it is not tried again, the namespace is deleted in the end.
    created = null;
    return send(`DELETE ${old}`, 'DELETE', `${KINDS[old].base}/${name}`);
  }
  const name = `churn-${prefix}-${exec.vu.idInInstance}-${exec.vu.iterationInInstance}`;
  const answer = send(...create(kind, name, mark));
  if (answer.status === 201) {
    created = { kind, name };
  }
  return answer;
}

const SORTS = {
  GET: (kind, mark, name) => send(`GET ${kind}`, 'GET', `${KINDS[kind].base}/${name}`),
  // Both change something each time: the API server does not write what is not changed.
  PATCH: (kind, mark, name) => send(`PATCH ${kind}`, 'PATCH', `${KINDS[kind].base}/${name}`, KINDS[kind].change(mark), 'application/merge-patch+json'),
  PUT: (kind, mark, name) => send(`PUT ${kind}`, 'PUT', `${KINDS[kind].base}/${name}`, object(kind, name, mark)),
  CHURN: churn,
  LIST: (kind) => send(`LIST ${kind}`, 'GET', `${KINDS[kind].base}?limit=${PAGE_SIZE}`), // the first page
  'LIST all': (kind) => send(`LIST ${kind} all`, 'GET', KINDS[kind].base),
  'LIST pods': () => send('LIST pods', 'GET', `/api/v1/pods?limit=${PAGE_SIZE}`),
};

// The requests of the mix in an order that looks random and is the same in each run: dealt in turn, the mix is exact and every sort comes soon.
function deck() {
  const cards = [];
  for (const [sort, weight] of Object.entries(MIX)) {
    if (!SORTS[sort] || !Number.isInteger(weight) || weight < 0) {
      throw new Error(`MIX has "${sort}": ${weight}; it takes whole numbers for ${Object.keys(SORTS).join(', ')}`);
    }
    const kinds = Object.keys(KINDS).filter((kind) => sort !== 'PUT' || KINDS[kind].replaceable);
    for (let count = 0; count < weight * 6; count++) {
      cards.push([sort, kinds[count % kinds.length]]); // 6: a whole number for two kinds and for three
    }
  }
  let state = 1;
  for (let last = cards.length - 1; last > 0; last--) {
    state = (state * 48271) % 2147483647;
    const other = state % (last + 1);
    [cards[last], cards[other]] = [cards[other], cards[last]];
  }
  return cards;
}

const CARDS = deck();

// Makes what the load reads and changes, and returns what all names of this generator have, so that nothing left by another can be met.
export function setup() {
  const prefix = `${GENERATOR}-${Date.now().toString(36)}`;
  for (const kind of Object.keys(KINDS)) {
    for (let from = 0; from < OBJECTS; from += 20) {
      const batch = [];
      for (let index = from; index < Math.min(from + 20, OBJECTS); index++) {
        const one = request(...create(kind, lasting(prefix, index), 'setup'));
        one[3].responseType = 'text'; // to say why it was refused
        batch.push(one);
      }
      const refused = http.batch(batch).find((answer) => answer.status !== 201);
      if (refused) {
        exec.test.abort(`cannot create ${kind} for the load: ${reason(refused)}`);
      }
    }
  }
  return prefix;
}

export default function load(prefix) {
  const turn = exec.scenario.iterationInTest;
  const [sort, kind] = CARDS[turn % CARDS.length];
  SORTS[sort](kind, `${GENERATOR}-${turn}`, lasting(prefix, turn), prefix);
}

export function teardown() {
  for (const kind of Object.keys(KINDS)) {
    const mine = `kubeproof.io/run=${RUN_ID},kubeproof.io/generator=${GENERATOR}`;
    const answer = send(`DELETE ${kind} of the load`, 'DELETE', `${KINDS[kind].base}?labelSelector=${encodeURIComponent(mine)}`);
    if (answer.status !== 200) {
      console.error(`cannot delete the ${kind} of the load: ${reason(answer)}`);
    }
  }
}
