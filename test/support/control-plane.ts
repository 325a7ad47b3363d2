import { createPrivateKey } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { makeKey } from '../../agent/controlplane/certificates/index.js';
import { apiRequest, type ApiAnswer } from './api-request.js';
import { freePorts } from './free-ports.js';
import { inlineUser, kubeconfigOf } from './kubeconfig.js';
import { TestAuthority, type Identity } from './test-authority.js';

export const assetsDir = process.env['KUBEBUILDER_ASSETS'] ?? '/usr/local/kubebuilder/bin';

/**
 * True where a real control plane can be started; says loudly why not. Never a failure, also in CI: no distribution packages
 * kube-apiserver, so there it cannot be installed.
 */
export function hasControlPlane(): boolean {
  const missing = ['etcd', 'kube-apiserver'].filter((name) => !existsSync(join(assetsDir, name)));
  if (missing.length === 0) return true;
  process.stderr.write(
    `SKIPPED: no ${missing.join(', ')} in ${assetsDir} (KUBEBUILDER_ASSETS), tests on a real API server do not run\n`,
  );
  return false;
}

export interface ControlPlaneOptions {
  /** Also started: the scheduler, the controller manager. */
  readonly scheduler?: boolean;
  readonly controllerManager?: boolean;
  /** Keeps an audit log, for tests that count requests. */
  readonly audit?: boolean;
  /** False for an API server that only speaks HTTP/1.1. */
  readonly http2?: boolean;
  /** The API server shows nodes a client certificate of its own authority, as in every cluster, and these may do everything there. */
  readonly kubeletClient?: boolean;
  /** Behaves as this older version does, `1.33`: without APIs and fields that came later. `BERTH_TEST_KUBERNETES` says it for all. */
  readonly emulate?: string;
  readonly apiServerFlags?: readonly string[];
  readonly controllerManagerFlags?: readonly string[];
}

export interface AuditedRequest {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly requestURI: string;
  readonly objectRef?: {
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp: string;
}

const dayMs = 24 * 3600 * 1000;

/** A real control plane on loopback with its own authority, in a folder of its own; gone without a trace when disposed. */
export class TestControlPlane implements AsyncDisposable {
  readonly dir: string;
  readonly server: string;
  readonly caCert: string;
  readonly #authority: TestAuthority;
  readonly #options: ControlPlaneOptions;
  readonly #ports: { api: number; etcd: number; peer: number };
  readonly #children = new Map<string, ChildProcess>();
  #admin: Identity = { cert: '', key: '' };

  private constructor(
    dir: string,
    authority: TestAuthority,
    ports: { api: number; etcd: number; peer: number },
    options: ControlPlaneOptions,
  ) {
    this.dir = dir;
    this.caCert = authority.cert;
    this.#authority = authority;
    this.#ports = ports;
    this.#options = options;
    this.server = `https://127.0.0.1:${ports.api}`;
  }

  static async start(options: ControlPlaneOptions = {}): Promise<TestControlPlane> {
    const dir = await mkdtemp(join(tmpdir(), 'berth-cluster-'));
    const [api = 0, etcd = 0, peer = 0] = await freePorts(3);
    const authority = await TestAuthority.make('berth-test-authority', 30 * dayMs);
    const cluster = new TestControlPlane(dir, authority, { api, etcd, peer }, options);
    try {
      await cluster.#begin();
      return cluster;
    } catch (err) {
      await cluster[Symbol.asyncDispose]();
      throw err;
    }
  }

  /** A client certificate that the cluster's authority signed. */
  identity(commonName: string, organizations: readonly string[] = [], validForMs = dayMs): Promise<Identity> {
    return this.#authority.issue(commonName, organizations, { validForMs });
  }

  /** A serving certificate for loopback, for a proxy in front of the API server. */
  servingIdentity(): Promise<Identity> {
    return this.#authority.issue('proxy', [], { use: 'server', validForMs: dayMs });
  }

  /** The requests of one user that the API server completed and has written down. */
  async audited(user: string): Promise<readonly AuditedRequest[]> {
    const text = await readFile(join(this.dir, 'audit.log'), 'utf8');
    // What follows the last line break is still being written.
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as AuditedRequest)
      .filter((request) => request.user.username === user);
  }

  nodeIdentity(name: string, validForMs?: number): Promise<Identity> {
    return this.identity(`system:node:${name}`, ['system:nodes'], validForMs);
  }

  /** Writes a kubeconfig and returns its path. */
  async kubeconfig(name: string, user: object, server = this.server, ca = this.caCert): Promise<string> {
    const path = join(this.dir, `${name}.kubeconfig`);
    await writeFile(path, JSON.stringify(kubeconfigOf(server, ca, user)), { mode: 0o600 });
    return path;
  }

  async nodeKubeconfig(nodeName: string, server?: string): Promise<string> {
    return await this.kubeconfig(`node-${nodeName}`, inlineUser(await this.nodeIdentity(nodeName)), server);
  }

  /** A request as cluster administrator. Rejects on an answer of 400 and above unless `allowed` names it. */
  async api(method: string, path: string, body?: unknown, allowed: readonly number[] = []): Promise<ApiAnswer> {
    const answer = await this.#ask(method, path, body);
    if (answer.status >= 400 && !allowed.includes(answer.status))
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer;
  }

  /** An object as cluster administrator; undefined as long as there is none. */
  async find<T = ApiAnswer['body']>(path: string): Promise<T | undefined> {
    const { status, body } = await this.api('GET', path, undefined, [404]);
    return status === 404 ? undefined : (body as T);
  }

  /** Gives everybody in a group the rights of a cluster role. */
  async bind(group: string, role: string): Promise<void> {
    await this.api('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: `${group}-${role}`.replaceAll(':', '-') },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ kind: 'Group', name: group, apiGroup: 'rbac.authorization.k8s.io' }],
    });
  }

  /** A right that was given counts a little after it was given. */
  async untilAllowed(
    who: { readonly user: string; readonly groups?: readonly string[] },
    resourceAttributes: Readonly<Record<string, string>>,
  ): Promise<void> {
    const spec = { ...who, resourceAttributes };
    await this.until(`the right of ${who.user}`, async () => {
      const { body } = await this.api('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', { spec });
      return (body as { status: { allowed: boolean } }).status.allowed || undefined;
    });
  }

  /**
   * A kubeconfig that may only ask for a node's certificate; what it asks for is signed at once where the controller manager runs,
   * as kubeadm sets clusters up.
   */
  async bootstrapKubeconfig(): Promise<string> {
    const token = { id: 'abcdef', secret: '0123456789abcdef' };
    await this.api('POST', '/api/v1/namespaces/kube-system/secrets', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `bootstrap-token-${token.id}` },
      type: 'bootstrap.kubernetes.io/token',
      stringData: {
        'token-id': token.id,
        'token-secret': token.secret,
        'usage-bootstrap-authentication': 'true',
        'auth-extra-groups': 'system:bootstrappers:test',
      },
    });
    const approved = 'system:certificates.k8s.io:certificatesigningrequests';
    await this.bind('system:bootstrappers', 'system:node-bootstrapper');
    await this.bind('system:bootstrappers', `${approved}:nodeclient`);
    await this.bind('system:nodes', `${approved}:selfnodeclient`);
    return await this.kubeconfig('bootstrap', { token: `${token.id}.${token.secret}` });
  }

  /** Polls until `holds` returns something; what it saw last is in the error. */
  async until<T>(what: string, look: () => Promise<T | undefined>, withinMs = 60_000): Promise<T> {
    const deadline = Date.now() + withinMs;
    while (true) {
      const found = await look();
      if (found !== undefined) return found;
      if (Date.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async stopApiServer(): Promise<void> {
    await this.#stop('kube-apiserver');
  }

  async startApiServer(): Promise<void> {
    await this.#startApi();
  }

  /** The end of a component's log. */
  async log(component: string): Promise<string> {
    const text = await readFile(join(this.dir, `${component}.log`), 'utf8').catch(() => '');
    return text.slice(-4000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of ['kube-scheduler', 'kube-controller-manager', 'kube-apiserver', 'etcd']) await this.#stop(name);
    await rm(this.dir, { recursive: true, force: true });
  }

  async #begin(): Promise<void> {
    const { dir } = this;
    const names = { dnsNames: ['localhost', 'kubernetes.default.svc'], addresses: ['127.0.0.1', '10.0.0.1'] };
    const serving = await this.#authority.issue('kube-apiserver', [], { use: 'server', validForMs: dayMs, names });
    this.#admin = await this.identity('test-admin', ['system:masters']);
    await Promise.all([
      writeFile(join(dir, 'ca.crt'), this.caCert),
      writeFile(join(dir, 'ca.key'), this.#authority.key),
      writeFile(join(dir, 'audit.json'), JSON.stringify(auditPolicy)),
      writeFile(join(dir, 'api.crt'), serving.cert),
      writeFile(join(dir, 'api.key'), serving.key),
      writeFile(join(dir, 'sa.key'), createPrivateKey(await makeKey()).export({ type: 'sec1', format: 'pem' })),
    ]);
    const kubelets = await this.identity(kubeletClients, [kubeletClients]);
    await writeFile(join(dir, 'kubelet-client.crt'), kubelets.cert);
    await writeFile(join(dir, 'kubelet-client.key'), kubelets.key);
    const { etcd, peer } = this.#ports;
    this.#spawn('etcd', [
      `--data-dir=${join(dir, 'etcd')}`,
      `--listen-client-urls=http://127.0.0.1:${etcd}`,
      `--advertise-client-urls=http://127.0.0.1:${etcd}`,
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-cluster=default=http://127.0.0.1:${peer}`,
      '--unsafe-no-fsync=true',
      '--log-level=error',
    ]);
    await this.#startApi();
    if (this.#options.kubeletClient === true) await this.bind('kubelet-clients', 'system:kubelet-api-admin');
    if (this.#options.controllerManager === true) await this.#startControllerManager();
    if (this.#options.scheduler === true) await this.#startScheduler();
    await this.until('the default namespace', async () => {
      const { status } = await this.#ask('GET', '/api/v1/namespaces/default');
      return status === 200 ? true : undefined;
    });
  }

  async #startApi(): Promise<void> {
    const { dir } = this;
    const { api, etcd } = this.#ports;
    const at = (name: string): string => join(dir, name);
    this.#spawn('kube-apiserver', [
      `--etcd-servers=http://127.0.0.1:${etcd}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${api}`,
      `--cert-dir=${dir}`,
      `--tls-cert-file=${at('api.crt')}`,
      `--tls-private-key-file=${at('api.key')}`,
      `--client-ca-file=${at('ca.crt')}`,
      '--service-cluster-ip-range=10.0.0.0/24',
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      // The controller manager that makes default accounts is not always there.
      ...(this.#options.controllerManager === true ? [] : ['--disable-admission-plugins=ServiceAccount']),
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${at('sa.key')}`,
      `--service-account-signing-key-file=${at('sa.key')}`,
      '--enable-bootstrap-token-auth=true',
      '--enable-priority-and-fairness=true',
      '--allow-privileged=true',
      ...(this.#options.audit === true
        ? [`--audit-policy-file=${at('audit.json')}`, `--audit-log-path=${at('audit.log')}`]
        : []),
      ...(this.#options.kubeletClient === true
        ? [
            `--kubelet-client-certificate=${at('kubelet-client.crt')}`,
            `--kubelet-client-key=${at('kubelet-client.key')}`,
            // Nobody resolves the names of these nodes.
            '--kubelet-preferred-address-types=InternalIP',
          ]
        : []),
      ...(this.#options.apiServerFlags ?? []),
    ]);
    await this.until(
      'the API server is ready',
      async () => {
        if (this.#children.get('kube-apiserver')?.exitCode !== null)
          throw new Error(`kube-apiserver ended: ${await this.log('kube-apiserver')}`);
        const { status } = await this.#ask('GET', '/readyz').catch(() => ({ status: 0 }));
        return status === 200 ? true : undefined;
      },
      90_000,
    );
  }

  async #startControllerManager(): Promise<void> {
    const { dir } = this;
    const user = inlineUser(await this.identity('system:kube-controller-manager', ['system:masters']));
    const config = await this.kubeconfig('controller-manager', user);
    this.#spawn('kube-controller-manager', [
      `--kubeconfig=${config}`,
      '--bind-address=127.0.0.1',
      '--secure-port=0',
      '--leader-elect=false',
      '--use-service-account-credentials=false',
      `--service-account-private-key-file=${join(dir, 'sa.key')}`,
      `--root-ca-file=${join(dir, 'ca.crt')}`,
      `--cluster-signing-cert-file=${join(dir, 'ca.crt')}`,
      `--cluster-signing-key-file=${join(dir, 'ca.key')}`,
      ...(this.#options.controllerManagerFlags ?? []),
    ]);
    await this.until('the default service account', async () => {
      const { status } = await this.#ask('GET', '/api/v1/namespaces/default/serviceaccounts/default');
      return status === 200 ? true : undefined;
    });
  }

  async #startScheduler(): Promise<void> {
    const user = inlineUser(await this.identity('system:kube-scheduler', ['system:masters']));
    const config = await this.kubeconfig('scheduler', user);
    this.#spawn('kube-scheduler', [
      `--kubeconfig=${config}`,
      '--bind-address=127.0.0.1',
      '--secure-port=0',
      '--leader-elect=false',
    ]);
  }

  #spawn(name: string, flags: readonly string[]): void {
    const log = createWriteStream(join(this.dir, `${name}.log`), { flags: 'a' });
    const { emulate = process.env['BERTH_TEST_KUBERNETES'] } = this.#options;
    const older = emulate !== undefined && name !== 'etcd' ? [`--emulated-version=${emulate}`] : [];
    const http1 = this.#options.http2 === false ? { GODEBUG: 'http2server=0' } : {};
    const env = { PATH: '/usr/bin:/bin', HOME: this.dir, ...http1 };
    const child = spawn(join(assetsDir, name), [...flags, ...older], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.once('close', () => log.end());
    this.#children.set(name, child);
  }

  async #stop(name: string): Promise<void> {
    const child = this.#children.get(name);
    if (!child) return;
    this.#children.delete(name);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill(name === 'etcd' ? 'SIGTERM' : 'SIGKILL');
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
    await closed;
    clearTimeout(timer);
  }

  #ask(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    return apiRequest(this, this.#admin, method, path, body);
  }
}

const kubeletClients = 'kubelet-clients';
const auditPolicy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived', 'ResponseStarted'],
  rules: [{ level: 'Metadata' }],
};
