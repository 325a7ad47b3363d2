export { clusterAccessReviews, type AccessReviews, type ReviewClient } from './access-reviews.js';
export { Authenticator } from './authenticate.js';
export { Authorizer } from './authorize.js';
export { clientCertificate, type ClientCertificate } from './client-certificate.js';
export type { UserInfo } from './user-info.js';
