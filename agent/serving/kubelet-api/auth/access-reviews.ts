import type { NodeAttributes } from './request-attributes.js';
import type { UserInfo } from './user-info.js';

/** What the cluster knows of users. Rejects when it cannot be asked. */
export interface AccessReviews {
  /** Undefined when the token is nobody's. */
  tokenReview(token: string, signal: AbortSignal): Promise<UserInfo | undefined>;
  subjectAccessReview(user: UserInfo, attributes: NodeAttributes, signal: AbortSignal): Promise<boolean>;
}

/** The part of the API client that is needed; the kubernetes control plane's fits. */
export interface ReviewClient {
  json<T>(
    request: { readonly method: 'POST'; readonly path: string; readonly body: unknown; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<T>;
}

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: {
      readonly username?: string;
      readonly uid?: string;
      readonly groups?: readonly string[];
      readonly extra?: Readonly<Record<string, readonly string[]>>;
    };
  };
}

interface SubjectAccessReview {
  readonly status?: { readonly allowed?: boolean };
}

/** Nobody who asks the node waits longer for the cluster's word. */
const timeoutMs = 10_000;

/** Asks the API server, as the kubelet's webhooks do. */
export function clusterAccessReviews(client: ReviewClient): AccessReviews {
  return {
    tokenReview: async (token, signal) => {
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
      const path = '/apis/authentication.k8s.io/v1/tokenreviews';
      const { status } = await client.json<TokenReview>({ method: 'POST', path, body, timeoutMs }, signal);
      const user = status?.user;
      if (status?.authenticated !== true || !user?.username) return undefined;
      return { ...user, username: user.username, groups: user.groups ?? [] };
    },
    subjectAccessReview: async (user, attributes, signal) => {
      const { verb, nodeName, subresource } = attributes;
      const resourceAttributes = { verb, version: 'v1', resource: 'nodes', subresource, name: nodeName };
      const { username, uid, groups, extra } = user;
      const body = {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { resourceAttributes, user: username, uid, groups, extra },
      };
      const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
      const { status } = await client.json<SubjectAccessReview>({ method: 'POST', path, body, timeoutMs }, signal);
      return status?.allowed === true;
    },
  };
}
