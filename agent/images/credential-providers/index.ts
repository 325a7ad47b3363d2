export { CredentialProvider, type CredentialProviderDeps, type Provided } from './credential-provider.js';
export { PodTokens } from './pod-tokens.js';
export { ProviderError } from './provider-protocol.js';
