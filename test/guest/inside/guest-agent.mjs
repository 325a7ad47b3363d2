// An agent in the guest, spoken to over its node API.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { NeverComes } from './never-comes.mjs';
import { image } from './pods.mjs';

const base = '/berth-guest';
const socketPath = '/run/berth/berth.sock';
const statsPort = 10_255;
const kubelet = { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' };
const berth = { apiVersion: 'berth/v1', kind: 'BerthConfiguration' };

export class GuestAgent {
  /** The kubelet's folder of this agent. */
  rootDir;
  #guest;
  #child;
  #log = '';

  /** `kubelet` and `berth` are keys of the two configurations; `home` is the agent's folder: another has nothing of what came before. */
  constructor(guest, { home = 'agent', driver = 'cgroupfs', kubelet: keys = {}, berth: own = {} }) {
    this.#guest = guest;
    const folder = join(base, home);
    this.rootDir = join(folder, 'kubelet');
    const folders = { 'root-dir': 'kubelet', 'state-dir': 'state', 'pod-logs-dir': 'logs', 'cni-conf-dir': 'cni' };
    for (const name of Object.values(folders)) mkdirSync(join(folder, name), { recursive: true });
    writeNetwork(folder);
    const documents = [
      { ...kubelet, cgroupDriver: driver, readOnlyPort: statsPort, ...keys },
      { ...berth, ...own },
    ];
    const config = join(folder, 'config.yaml');
    writeFileSync(config, documents.map((document) => JSON.stringify(document)).join('\n---\n'));
    const dist = process.env.BERTH_DIST;
    const main = ['bin/berth.js', 'agent/cli/main.js'].map((path) => join(dist, path)).find((path) => existsSync(path));
    const flags = Object.entries(folders).map(([name, place]) => `--${name}=${join(folder, place)}`);
    const args = [main, 'agent', `--config=${config}`, ...flags, '--node-name=guest'];
    this.#child = spawn(process.execPath, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env.PATH, HOME: '/root' },
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => (this.#log += text));
  }

  get pid() {
    return this.#child.pid;
  }

  get log() {
    return this.#log;
  }

  async ready() {
    await this.#guest.until('the agent', () => {
      if (this.#child.exitCode !== null) throw new NeverComes(`the agent ended: ${this.#log.slice(-2000)}`);
      return this.call('GET', '/v1/node');
    });
    const { makeBusyboxImage } = await import(join(process.env.BERTH_DIST, 'test/setup/busybox-image.js'));
    const path = join(base, 'busybox.tar');
    if (!existsSync(path)) await makeBusyboxImage({ path, reference: image });
    const answer = await this.call('POST', '/v1/images/import', readFileSync(path));
    if (answer.includes('"type":"error"')) throw new Error(answer);
  }

  call(method, path, body) {
    return ask({ socketPath, method, path }, body);
  }

  /** /stats/summary. */
  async stats() {
    return JSON.parse(await ask({ host: '127.0.0.1', port: statsPort, method: 'GET', path: '/stats/summary' }));
  }

  async node() {
    return JSON.parse(await this.call('GET', '/v1/node'));
  }

  async apply(...objects) {
    await this.call('POST', '/v1/apply', documentsOf(objects));
  }

  /** Its uid, its status, and what it waits for. */
  async pod(name) {
    const { pod, waits } = JSON.parse(await this.call('GET', `/v1/pods/default/${name}`));
    return { uid: pod.metadata.uid, status: pod.status ?? {}, waits };
  }

  /** The pod, as soon as its status is as said. */
  async untilPod(name, what, holds) {
    return await this.#guest.until(`${name}: ${what}`, async () => {
      const pod = await this.pod(name);
      if (holds(pod.status)) return pod;
      const { phase, reason, message } = pod.status;
      if (phase === 'Failed') throw new NeverComes(`${name}: not ${what}: ${reason}: ${message}`);
      return undefined;
    });
  }

  async untilReady(name) {
    const isReady = ({ conditions = [] }) =>
      conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
    return await this.untilPod(name, 'ready', isReady);
  }

  logOf(pod) {
    return this.call('GET', `/v1/pods/default/${pod}/log`);
  }

  /** Events, oldest first. */
  async events() {
    return JSON.parse(await this.call('GET', '/v1/events')).items;
  }

  /** Until nothing is left of any pod. */
  async removeAll() {
    const { items } = JSON.parse(await this.call('GET', '/v1/pods'));
    const pods = items.map(({ pod: { metadata, spec } }) => ({
      ...{ apiVersion: 'v1', kind: 'Pod', spec },
      metadata: { name: metadata.name },
    }));
    if (pods.length > 0) await this.call('POST', '/v1/delete?grace=1', documentsOf(pods));
    await this.#guest.until(
      'all pods to be gone',
      async () => JSON.parse(await this.call('GET', '/v1/pods')).items.length === 0,
    );
  }

  /** Ends the agent; pods go on. */
  async stop() {
    this.kill();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }

  kill() {
    this.#child.kill('SIGTERM');
  }

  async tellState() {
    const said = await this.call('GET', '/v1/pods').catch(String);
    console.log(`GUEST: pods: ${said}`);
  }
}

function writeNetwork(folder) {
  const ipam = { type: 'host-local', dataDir: join(folder, 'addresses'), ranges: [[{ subnet: '10.244.1.0/24' }]] };
  const bridge = { type: 'bridge', bridge: 'guest0', isGateway: true, ipam };
  const list = { cniVersion: '1.0.0', name: 'guest', plugins: [bridge] };
  writeFileSync(join(folder, 'cni/10-guest.conflist'), JSON.stringify(list));
}

const documentsOf = (objects) => objects.map((object) => JSON.stringify(object)).join('\n---\n');

function ask(options, body) {
  return new Promise((resolve, reject) => {
    // A connection of its own: one that is kept may be closed while it is taken for the next request.
    const asked = request({ ...options, agent: false }, (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('end', () => {
        const text = Buffer.concat(pieces).toString();
        if (answer.statusCode === 200) resolve(text);
        else reject(new Error(`${options.method} ${options.path}: ${answer.statusCode} ${text}`));
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}
