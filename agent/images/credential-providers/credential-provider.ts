import { createHash } from 'node:crypto';
import type { CallRecorder } from '../../../base/call-recorder.js';
import type { Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import { programSucceeded, type RunProgram } from '../../../base/run-program.js';
import { orAbort } from '../../../base/signals.js';
import { podUidOf, type Pod, type ServiceAccount } from '../../api/index.js';
import type { CredentialProviderConfig } from '../../config/credential-providers.js';
import type { DockerAuths } from '../docker-config.js';
import { matchesImage } from '../image-match.js';
import type { CredentialSource } from '../keyring.js';
import { AnswerCache } from './answer-cache.js';
import { endOf, parseAnswer, ProviderError, requestText, type ProviderAnswer } from './provider-protocol.js';

export interface CredentialProviderDeps {
  readonly clock: Clock;
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  /** The environment of programs, which the configuration adds to. */
  readonly environment: Readonly<Record<string, string>>;
  /** Ends with the agent: one run serves all pods that asked, whichever of them gives up. */
  readonly stop: AbortSignal;
  serviceAccount(namespace: string, name: string, signal: AbortSignal): Promise<ServiceAccount | undefined>;
  /** A token of the pod's service account, bound to the pod. */
  token(pod: Pod, audience: string, signal: AbortSignal): Promise<string>;
}

export interface Provided {
  readonly auths: DockerAuths;
  readonly source: CredentialSource;
}

/** What is asked for one pod's service account. */
interface Account {
  readonly source: CredentialSource;
  readonly token: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Keeps cached answers for it apart from others'. */
  readonly identity: string;
}

const nodeWide: Account = { source: { kind: 'node' }, token: '', annotations: {}, identity: '' };
const longestRunMs = 60_000;

/** One exec plugin: asked once for pods that ask at the same time, its answers kept as it says. */
export class CredentialProvider {
  readonly name: string;
  readonly #config: CredentialProviderConfig;
  readonly #deps: CredentialProviderDeps;
  readonly #cache: AnswerCache;
  readonly #running = new Map<string, Promise<DockerAuths>>();

  constructor(config: CredentialProviderConfig, deps: CredentialProviderDeps) {
    this.name = config.name;
    this.#config = config;
    this.#deps = deps;
    this.#cache = new AnswerCache(deps.clock);
  }

  /** Undefined when the image is none of its, or the pod's service account is not for it. Throws a `ProviderError`. */
  async provide(repository: string, pod: Pod, signal: AbortSignal): Promise<Provided | undefined> {
    if (!this.#config.matchImages.some((pattern) => matchesImage(pattern, repository))) return undefined;
    const account = await this.#account(pod, signal);
    if (!account) return undefined;
    const { source, identity } = account;
    const cached = this.#cache.get(repository, identity);
    if (cached) return { source, auths: cached };
    const key = JSON.stringify([repository, identity, hashOf(account.token)]);
    const running = this.#running.get(key) ?? this.#start(key, repository, pod, account);
    return { source, auths: await orAbort(running, signal) };
  }

  #start(key: string, repository: string, pod: Pod, account: Account): Promise<DockerAuths> {
    const running = this.#ask(repository, pod, account).finally(() => this.#running.delete(key));
    this.#running.set(key, running);
    // All who asked may have gone when it fails.
    running.catch(() => {});
    return running;
  }

  async #account(pod: Pod, signal: AbortSignal): Promise<Account | undefined> {
    const { token: attributes } = this.#config;
    if (!attributes) return nodeWide;
    const namespace = pod.metadata?.namespace ?? 'default';
    const name = pod.spec?.serviceAccountName ?? '';
    if (name === '') return attributes.requireServiceAccount ? undefined : nodeWide;
    try {
      const account = await this.#deps.serviceAccount(namespace, name, signal);
      if (!account) throw new Error(`there is no service account ${namespace}/${name}`);
      const given = account.metadata?.annotations ?? {};
      if (attributes.requiredAnnotations.some((key) => given[key] === undefined)) return undefined;
      const wanted = [...attributes.requiredAnnotations, ...attributes.optionalAnnotations].toSorted();
      const annotations = Object.fromEntries(
        wanted.flatMap((key): [string, string][] => (given[key] === undefined ? [] : [[key, given[key]]])),
      );
      const token = await this.#deps.token(pod, attributes.audience, signal);
      const uid = account.metadata?.uid ?? '';
      const ofToken = attributes.cacheType === 'Token' ? hashOf(token) : '';
      const identity = JSON.stringify([namespace, name, uid, annotations, ofToken]);
      return { source: { kind: 'service-account', uid, namespace, name }, token, annotations, identity };
    } catch (err) {
      signal.throwIfAborted();
      throw this.#failed(errorText(err), err);
    }
  }

  async #ask(repository: string, pod: Pod, account: Account): Promise<DockerAuths> {
    const { name, apiVersion, program, args, env, defaultCacheMs, token: attributes } = this.#config;
    const { run, recorder, environment, stop } = this.#deps;
    const { namespace = 'default', name: podName = '' } = pod.metadata ?? {};
    const ended = recorder.begin({
      ...{ interface: 'credential-provider', plugin: name, verb: 'get' },
      subject: { podUid: podUidOf(pod), podNamespace: namespace, podName, object: repository },
      request: { apiVersion, image: repository, serviceAccount: account.source, annotations: account.annotations },
    });
    try {
      const result = await run(
        {
          argv: [program, ...args],
          env: { ...environment, ...env },
          stdin: requestText({ apiVersion, image: repository, token: account.token, annotations: account.annotations }),
          timeoutMs: longestRunMs,
        },
        stop,
      );
      if (!programSucceeded(result)) throw this.#failed(endOf(result, account.token));
      const answer = parseAnswer(name, apiVersion, result.stdout);
      const isEchoed = [...answer.auths.values()].some(({ password }) => password === account.token);
      if (account.token !== '' && isEchoed && attributes?.cacheType !== 'Token')
        throw this.#failed("it returned the service account's token as the password, which needs cacheType: Token");
      this.#cache.put(repository, account.identity, answer, defaultCacheMs);
      ended({ response: shown(answer) });
      return answer.auths;
    } catch (err) {
      const code = err instanceof ProviderError ? err.failure.code : 'failed';
      ended({ error: { code, message: errorText(err) } });
      throw err;
    }
  }

  #failed(why: string, cause?: unknown): ProviderError {
    return new ProviderError(
      `ask credential provider ${this.name}: ${why}`,
      { code: 'unavailable' },
      cause === undefined ? undefined : { cause },
    );
  }
}

const hashOf = (text: string): string => (text === '' ? '' : createHash('sha256').update(text).digest('hex'));

/** What of an answer may be kept in a record. */
const shown = ({ cacheKeyType, cacheMs, auths }: ProviderAnswer): object => ({
  cacheKeyType,
  ...(cacheMs !== undefined && { cacheMs }),
  registries: [...auths.keys()],
});
