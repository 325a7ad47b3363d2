import type { ControlPlane } from '../../controlplane/control-plane.js';
import { KubernetesControlPlane } from '../../controlplane/kubernetes/index.js';
import { clusterAccessReviews, type AccessReviews } from './auth/index.js';

/** Undefined for a control plane that knows no users. */
export function reviewsOf(controlPlane: ControlPlane): AccessReviews | undefined {
  return controlPlane instanceof KubernetesControlPlane ? clusterAccessReviews(controlPlane.client) : undefined;
}
