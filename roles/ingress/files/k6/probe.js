// Asks each of URLS {name: URL} until every one that is WANTED is answered by the backend, or WAIT seconds have passed; prints what came last
// as {answers: {name: {answer, code}}, seconds}. code is k6's: 13xx is a certificate or a TLS connection that failed. Where one that is wanted does not
// answer, each of OTHERWISE is asked once, which shows whether the backend itself can be reached.
import http from 'k6/http';
import { sleep } from 'k6';

const URLS = JSON.parse(__ENV.URLS);
const WANTED = JSON.parse(__ENV.WANTED);
const OTHERWISE = JSON.parse(__ENV.OTHERWISE);
const { MARKER, WAIT, REQUEST_TIMEOUT } = __ENV;
const PAUSE = 0.2;
const OURS = 'our backend';

export const options = { insecureSkipTLSVerify: false, noConnectionReuse: true, userAgent: 'kubeproof' };

function ask(url) {
  const answer = http.get(url, { timeout: REQUEST_TIMEOUT, redirects: 0 });
  if (!answer.status) {
    return { answer: answer.error, code: answer.error_code };
  }
  if (answer.status !== 200) {
    return { answer: `status ${answer.status}`, code: 0 };
  }
  return { answer: String(answer.body).includes(MARKER) ? OURS : 'status 200 of something else', code: 0 };
}

export default function probe() {
  const began = Date.now();
  const seconds = () => (Date.now() - began) / 1000;
  let answers = {};
  const lacking = () => WANTED.some((name) => answers[name].answer !== OURS);
  do {
    if (answers.begun) {
      sleep(PAUSE);
    }
    answers = { begun: true };
    for (const [name, url] of Object.entries(URLS)) {
      answers[name] = ask(url);
    }
  } while (lacking() && seconds() < Number(WAIT));
  delete answers.begun;
  const took = seconds();
  for (const [name, url] of lacking() ? Object.entries(OTHERWISE) : []) {
    answers[name] = ask(url);
  }
  console.log(JSON.stringify({ answers, seconds: took }));
}
