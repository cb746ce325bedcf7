//! Which stream an HTTP publisher means, and whether it knows that stream's secret. Pure.

use crate::config::Secret;
use crate::mailbox::StreamId;
use crate::proto::http::Status;

/// A stream that is published through the port in question.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its number.
    pub id: StreamId,
    /// Its name.
    pub name: &'a str,
    /// What its publisher must know.
    pub secret: &'a Secret,
}

/// Something that a request may mean. No name is the first stream that has the secret.
#[derive(Clone, Copy)]
struct Claim<'a> {
    secret: &'a str,
    name: Option<&'a str>,
}

/// Finds the stream by `path`, which is `/SECRET`, `/SECRET/NAME`, or, if the secret is empty or in `authorization`,
/// `/` or `/NAME`.
///
/// # Errors
/// 404 if only the name is wrong, else 403.
pub fn route<'a>(
    path: &str,
    authorization: Option<&str>,
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
) -> Result<StreamId, Status> {
    let path = path.trim_matches('/');
    let whole = (!path.is_empty()).then_some(path);
    let claims = match (authorization.and_then(bearer), path.split_once('/')) {
        (Some(secret), _) => [Claim { secret, name: whole }, Claim { secret: "", name: whole }],
        (None, Some((secret, name))) => {
            [Claim { secret, name: Some(name) }, Claim { secret: "", name: whole }]
        }
        (None, None) => [Claim { secret: path, name: None }, Claim { secret: "", name: whole }],
    };
    let mut error = Status::Forbidden;
    for claim in claims {
        for candidate in candidates.clone() {
            if !candidate.secret.matches(claim.secret.as_bytes()) {
                continue;
            }
            if claim.name.is_none_or(|name| name == candidate.name) {
                return Ok(candidate.id);
            }
            error = Status::NotFound;
        }
    }
    Err(error)
}

/// RFC 6750 §2.1; the scheme in any case (RFC 9110 §11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route_to(path: &str, authorization: Option<&str>, streams: &[(&str, &str)]) -> Result<usize, u16> {
        let secrets: Vec<Secret> =
            streams.iter().map(|(_, secret)| Secret::new((*secret).to_owned())).collect();
        let candidates = streams.iter().zip(&secrets).enumerate();
        let candidates =
            candidates.map(|(index, ((name, _), secret))| Candidate { id: StreamId(index), name, secret });
        route(path, authorization, candidates).map(|id| id.0).map_err(Status::code)
    }

    #[test]
    fn one_secret_for_all() {
        let streams = [("live", "s3"), ("cam2", "s3")];
        let to = |path| route_to(path, None, &streams);
        assert_eq!((to("/s3"), to("/s3/"), to("/s3/live"), to("/s3/cam2")), (Ok(0), Ok(0), Ok(0), Ok(1)));
        assert_eq!(
            (to("/"), to("/s"), to("/s33"), to("/s4/cam2"), to("*")),
            (Err(403), Err(403), Err(403), Err(403), Err(403))
        );
        assert_eq!((to("/live"), to("/s3/cam3"), to("/s3/cam2/x")), (Err(403), Err(404), Err(404)));
        let bearer = |path| route_to(path, Some("bearer s3"), &streams);
        assert_eq!(
            (bearer("/"), bearer("/live"), bearer("/cam2"), bearer("/x")),
            (Ok(0), Ok(0), Ok(1), Err(404))
        );
        assert_eq!(route_to("/s3", Some("Basic czM6"), &streams), Ok(0));
        assert_eq!(route_to("/cam2", Some("Bearer s4"), &streams), Err(403));
    }

    #[test]
    fn a_secret_for_each() {
        let streams = [("live", "one"), ("cam2", "two")];
        let to = |path| route_to(path, None, &streams);
        assert_eq!((to("/one"), to("/two"), to("/two/cam2")), (Ok(0), Ok(1), Ok(1)));
        assert_eq!((to("/one/cam2"), to("/two/live")), (Err(404), Err(404)));
    }

    #[test]
    fn no_secret() {
        let streams = [("live", ""), ("cam2", "")];
        let to = |path| route_to(path, None, &streams);
        assert_eq!(
            (to("/"), to("/live"), to("/cam2"), to("/x"), to("/x/cam2")),
            (Ok(0), Ok(0), Ok(1), Err(404), Err(404))
        );
        assert_eq!(route_to("/cam2", Some("Bearer any"), &streams), Ok(1));
        let streams = [("live", ""), ("cam2", "two")];
        assert_eq!((route_to("/", None, &streams), route_to("/two", None, &streams)), (Ok(0), Ok(1)));
        assert_eq!(route_to("/cam2", None, &streams), Err(404));
    }
}
