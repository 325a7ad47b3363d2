export interface CsiPodInfo {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly serviceAccountName: string;
}

/** One entry of what `TokenRequest` answered, by audience; the shape of `TokenRequestStatus`. */
export type CsiTokens = Readonly<Record<string, { readonly token: string; readonly expirationTimestamp: string }>>;

export const tokensKey = 'csi.storage.k8s.io/serviceAccount.tokens';
export const ephemeralKey = 'csi.storage.k8s.io/ephemeral';

export interface PublishContextQuestion {
  /** `volumeAttributes` of the volume. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
  /** Set when the CSIDriver has `podInfoOnMount`. */
  readonly pod: CsiPodInfo | undefined;
  readonly inline: boolean;
  /** Set when the CSIDriver has `tokenRequests`. */
  readonly tokens: CsiTokens | undefined;
  /** `serviceAccountTokenInSecrets` of the CSIDriver. */
  readonly tokensInSecrets: boolean;
}

/** The `volume_context` and `secrets` of NodePublishVolume. What the agent adds wins over the volume's own attributes. */
export function publishVolumeContext(question: PublishContextQuestion): {
  readonly volumeContext: Record<string, string>;
  readonly secrets: Record<string, string>;
} {
  const volumeContext = { ...question.attributes };
  const secrets = { ...question.secrets };
  const { pod, tokens } = question;
  if (pod !== undefined) {
    Object.assign(volumeContext, {
      'csi.storage.k8s.io/pod.name': pod.name,
      'csi.storage.k8s.io/pod.namespace': pod.namespace,
      'csi.storage.k8s.io/pod.uid': pod.uid,
      'csi.storage.k8s.io/serviceAccount.name': pod.serviceAccountName,
      [ephemeralKey]: String(question.inline),
    });
  }
  if (tokens !== undefined && Object.keys(tokens).length > 0) {
    const target = question.tokensInSecrets ? secrets : volumeContext;
    target[tokensKey] = JSON.stringify(tokens);
  }
  return { volumeContext, secrets };
}

/** A request as it may be recorded: the fields the specification marks as secret, and tokens, are masked. */
export function maskRequest(request: object): object {
  const masked: Record<string, unknown> = { ...request };
  if ('secrets' in request && typeof request.secrets === 'object' && request.secrets !== null) {
    masked['secrets'] = Object.fromEntries(Object.keys(request.secrets).map((key) => [key, '***']));
  }
  const context = 'volumeContext' in request ? request.volumeContext : undefined;
  if (typeof context === 'object' && context !== null && tokensKey in context) {
    masked['volumeContext'] = { ...context, [tokensKey]: '***' };
  }
  return masked;
}

/** The values of a request that must not appear in a driver's words either. */
export function secretsOf(request: object): Record<string, string> {
  const secrets: Record<string, string> = {};
  if ('secrets' in request && typeof request.secrets === 'object') Object.assign(secrets, request.secrets);
  const context = 'volumeContext' in request ? request.volumeContext : undefined;
  if (typeof context !== 'object' || context === null || !(tokensKey in context)) return secrets;
  const tokens: unknown = JSON.parse(String(context[tokensKey]));
  for (const [audience, entry] of Object.entries(tokens as CsiTokens)) secrets[`token ${audience}`] = entry.token;
  return secrets;
}
