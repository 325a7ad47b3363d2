import { errorText } from '../../../base/errors.js';
import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import { podUidOf, type Pod, type PodCertificateProjection, type PodUid } from '../../api/index.js';
import type { PodCertificateRequest } from '../../controlplane/certificate-objects.js';
import { isPodKeyType, makeKeyAndProof, podKeyTypes } from '../../controlplane/certificates/index.js';
import type { ControlPlane } from '../../controlplane/control-plane.js';
import type { EventType } from '../../events/event-recorder.js';
import type { ReadForPod } from '../claims/claim-resolver.js';
import { VolumeProblem } from '../volume-error.js';
import type { PodCredential } from './content-sources.js';
import { certificatesPem, pemContents } from './pem-blocks.js';

export interface PodCertificatesDeps {
  readonly nodeName: string;
  readonly objects: Pick<ControlPlane, 'get'>;
  /** Absent: nobody signs any. */
  readonly requests: Pick<ControlPlane, 'createPodCertificateRequest'> | undefined;
  readonly read: ReadForPod;
  readonly clock: Clock;
  readonly log: Logger;
  /** 0 to 1, so that the certificates of many pods are not renewed in one moment. */
  readonly random: () => number;
  readonly event: (pod: Pod, type: EventType, reason: string, message: string) => void;
}

interface Asked {
  readonly name: string;
  readonly keyPem: string;
  /** The watch may be behind: only then a request that is not seen has been deleted, ms. */
  readonly goneAfter: number;
  seen: boolean;
}

interface Issued {
  readonly keyPem: string;
  readonly chain: string;
  readonly renewFrom: number;
  readonly refreshAt: number;
  readonly notAfter: number;
  readonly told: Set<'CertificateOverdueForRefresh' | 'CertificateExpired'>;
}

/** One source of one projected volume. */
interface Credential {
  asked: Asked | undefined;
  issued: Issued | undefined;
  /** Denied or failed: the signer has spoken, and is not asked again for this pod. */
  refused: string | undefined;
}

const assumeGoneMs = 10 * 60_000;
const jitterMs = 5 * 60_000;
const overdueMs = 10 * 60_000;
const retryMs = 10_000;
/** How often one that should have been renewed is looked at, besides when its request changes. */
const lookEveryMs = 60_000;

/**
 * Certificates that signers of the cluster issue to pods. The key is made here and never leaves the node; it is not kept over a restart
 * of the agent, which asks anew while the files of before serve on.
 */
export class PodCertificates {
  readonly #deps: PodCertificatesDeps;
  readonly #credentials = new Map<PodUid, Map<string, Credential>>();

  constructor(deps: PodCertificatesDeps) {
    this.#deps = deps;
  }

  /** `source` tells the projections of a pod apart: volume and place in it. */
  async get(
    pod: Pod,
    source: string,
    projection: PodCertificateProjection,
    signal: AbortSignal,
  ): Promise<PodCredential> {
    const credential = this.#of(pod, source);
    const { clock } = this.#deps;
    if (credential.asked) await this.#look(pod, credential, projection, credential.asked, signal);
    if (credential.refused !== undefined) throw new VolumeProblem('refused', credential.refused);
    const { issued } = credential;
    let lookAt = clock.now() + lookEveryMs;
    if (!credential.asked && (!issued || clock.now() >= issued.refreshAt)) {
      try {
        credential.asked = await this.#ask(pod, projection, signal);
      } catch (err) {
        signal.throwIfAborted();
        if (!issued) throw err;
        lookAt = clock.now() + retryMs;
        const fields = { podUid: podUidOf(pod), signer: projection.signerName, err: errorText(err) };
        this.#deps.log.warn({ ...fields, retryInMs: retryMs }, 'certificate of a pod could not be renewed');
      }
    }
    if (!issued) {
      const request = `${pod.metadata?.namespace}/${credential.asked?.name}`;
      throw new VolumeProblem(
        'unavailable',
        `credential bundle is not issued yet: signer ${projection.signerName} has not decided PodCertificateRequest ${request}`,
      );
    }
    this.#tellAge(pod, issued);
    const refreshAt = clock.now() < issued.refreshAt ? issued.refreshAt : lookAt;
    return { keyPem: issued.keyPem, chainPem: issued.chain, refreshAt };
  }

  drop(uid: PodUid): void {
    this.#credentials.delete(uid);
  }

  #of(pod: Pod, source: string): Credential {
    const uid = podUidOf(pod);
    const mine = this.#credentials.get(uid) ?? new Map<string, Credential>();
    this.#credentials.set(uid, mine);
    const known = mine.get(source) ?? { asked: undefined, issued: undefined, refused: undefined };
    mine.set(source, known);
    return known;
  }

  async #ask(pod: Pod, projection: PodCertificateProjection, signal: AbortSignal): Promise<Asked> {
    const { objects, requests, nodeName, clock, random } = this.#deps;
    if (!requests) throw new VolumeProblem('unsupported', 'nobody issues certificates for pods here');
    const { signerName, keyType, maxExpirationSeconds, userAnnotations } = projection;
    if (!isPodKeyType(keyType)) {
      const known = podKeyTypes.join(', ');
      throw new VolumeProblem(
        'refused',
        `unknown key type "${keyType}" of a podCertificate source, known are ${known}`,
      );
    }
    const { name = '', namespace = 'default', uid = '' } = pod.metadata ?? {};
    const account = pod.spec?.serviceAccountName || 'default';
    const serviceAccount = await objects.get('ServiceAccount', namespace, account, signal);
    if (!serviceAccount) throw new VolumeProblem('not-found', `serviceaccount "${account}" not found`);
    const node = await objects.get('Node', '', nodeName, signal);
    if (!node) throw new VolumeProblem('unavailable', `node "${nodeName}" is not registered yet`);
    const { keyPem, request } = await makeKeyAndProof(keyType);
    const made = await requests.createPodCertificateRequest(
      namespace,
      {
        apiVersion: 'certificates.k8s.io/v1beta1',
        kind: 'PodCertificateRequest',
        metadata: {
          namespace,
          generateName: 'req-',
          ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }],
        },
        spec: {
          signerName,
          podName: name,
          podUID: uid,
          serviceAccountName: account,
          serviceAccountUID: serviceAccount.metadata?.uid ?? '',
          nodeName,
          nodeUID: node.metadata?.uid ?? '',
          maxExpirationSeconds,
          stubPKCS10Request: request.toString('base64'),
          unverifiedUserAnnotations: userAnnotations,
        },
      },
      signal,
    );
    const asked = { name: made.metadata?.name ?? '', keyPem, goneAfter: clock.now() + assumeGoneMs, seen: false };
    // Reading it is what watches it for the pod; an answer may even be there.
    await this.#deps.read(podUidOf(pod), 'PodCertificateRequest', namespace, asked.name, signal).catch(() => {});
    const jitter = random() * jitterMs;
    return { ...asked, goneAfter: asked.goneAfter + jitter };
  }

  /** What the signer has said by now. */
  async #look(
    pod: Pod,
    credential: Credential,
    { signerName }: PodCertificateProjection,
    asked: Asked,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, event } = this.#deps;
    const namespace = pod.metadata?.namespace ?? 'default';
    let request: PodCertificateRequest | undefined;
    try {
      request = await this.#deps.read(podUidOf(pod), 'PodCertificateRequest', namespace, asked.name, signal);
    } catch (err) {
      signal.throwIfAborted();
      if (!credential.issued) throw err;
      return;
    }
    if (!request) {
      if (asked.seen || clock.now() >= asked.goneAfter) credential.asked = undefined;
      return;
    }
    asked.seen = true;
    for (const { type, reason, message } of request.status?.conditions ?? []) {
      if (type === 'Denied' || type === 'Failed') {
        const verb = type === 'Denied' ? 'was denied' : 'failed';
        const words = `PodCertificateRequest ${namespace}/${asked.name} ${verb}, reason="${reason}", message="${message}"`;
        credential.asked = undefined;
        credential.refused = `${words}; signer ${signerName} is not asked again for this pod`;
        event(pod, 'Warning', type, words);
      } else if (type === 'Issued') {
        credential.asked = undefined;
        credential.issued = this.#issued(request, asked.keyPem);
      }
    }
  }

  #issued({ status }: PodCertificateRequest, keyPem: string): Issued {
    const now = this.#deps.clock.now();
    const at = (text: string | undefined): number => {
      const parsed = Date.parse(text ?? '');
      return Number.isNaN(parsed) ? now + lookEveryMs : parsed;
    };
    const renewFrom = at(status?.beginRefreshAt);
    return {
      keyPem,
      chain: certificatesPem(pemContents(status?.certificateChain ?? '')),
      renewFrom,
      // A clock that differs from the signer's must not ask for certificates in a loop.
      refreshAt: Math.max(renewFrom + this.#deps.random() * jitterMs, now + lookEveryMs),
      notAfter: at(status?.notAfter),
      told: new Set(),
    };
  }

  #tellAge(pod: Pod, { renewFrom, notAfter, told }: Issued): void {
    const now = this.#deps.clock.now();
    const tell = (reason: 'CertificateOverdueForRefresh' | 'CertificateExpired', message: string): void => {
      if (told.has(reason)) return;
      told.add(reason);
      this.#deps.event(pod, 'Warning', reason, message);
    };
    if (now > renewFrom + overdueMs) tell('CertificateOverdueForRefresh', 'PodCertificate refresh overdue');
    if (now > notAfter) tell('CertificateExpired', 'PodCertificate expired');
  }
}
