/** What a role may grant. `admin` implies neither `approve` nor `audit`. */
export const PERMISSIONS = [
  'view',
  'deploy',
  'approve',
  'rollback',
  'logs',
  'lock',
  'unlock', // other people's locks
  'cancel',
  'silence',
  'break-glass',
  'audit',
  'admin',
  'run', // a declared command
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/**
 * Somebody who acts. `id` (Entra object id) and `tenantId` come from an authenticated activity and are all that
 * decides anything; `name` is for display only.
 */
export interface Person {
  id: string;
  tenantId: string;
  name: string;
  /** The channel's own id of the person ("29:..."), needed for mentions, personal chats and user-specific views. */
  channelUserId?: string;
  /** From the channel: userRole "guest" or an external account. */
  guest?: boolean;
}

/** One line of policy: members of any of `groups` may do `permissions`, there. A missing scope list means all. */
export interface Grant {
  /** Name for people, for example "team web" or "break-glass". */
  role: string;
  permissions: readonly Permission[];
  /** Entra object ids of groups. Empty grants nothing to anybody. */
  groups: readonly string[];
  services?: readonly string[];
  environments?: readonly string[];
  /** For declared commands only. A grant without one covers everything but those. */
  commands?: readonly string[];
}

export interface AccessPolicy {
  /** Tenants whose members may be granted anything at all. */
  tenants: readonly string[];
  grants: readonly Grant[];
  /** Group object id to the name it has in the configuration, for explanations. */
  groupNames: Readonly<Record<string, string>>;
}

export interface AccessRequest {
  permission: Permission;
  /** Left out for permissions that are not about a service (audit, admin). */
  service?: string;
  environment?: string;
  /** The declared command that it is about. */
  command?: string;
}

export type AccessDecision =
  | { allowed: true; code: 'OK'; role: string }
  | {
      allowed: false;
      code: 'ACCESS_DENIED' | 'ACCESS_GUEST' | 'ACCESS_FOREIGN_TENANT' | 'ACCESS_NO_IDENTITY' | 'DIRECTORY_UNAVAILABLE';
      /** Plain text, names the groups that could. */
      message: string;
      /** Names of groups whose members would be allowed. */
      groups: readonly string[];
    };

/** What a person may do, for whoami and for filling forms. Groups and roles by their names in the configuration. */
export interface Rights {
  groups: readonly string[];
  roles: readonly string[];
  /** One row per service and environment of the catalogue, permissions in the order of PERMISSIONS. */
  rights: readonly { service: string; environment: string; permissions: readonly Permission[] }[];
  /** Permissions that are about no service. */
  general: readonly Permission[];
}

/** Asks the directory and decides. Never throws: a directory that can't answer denies with DIRECTORY_UNAVAILABLE. */
export interface Authoriser {
  authorise(person: Person, request: AccessRequest, options?: { fresh?: boolean }): Promise<AccessDecision>;
  /** One directory call for the whole matrix. @throws DirectoryError */
  rights(person: Person): Promise<Rights>;
}
