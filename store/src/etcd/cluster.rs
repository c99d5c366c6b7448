//! Cluster. etcd: server/etcdserver/api/v3rpc/member.go.

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::Service;
use super::errors::{invalid, status};
use crate::cluster::is_url;
use crate::store::MemberInfo;

impl From<MemberInfo> for pb::Member {
    fn from(member: MemberInfo) -> Self {
        Self {
            id: member.id,
            name: member.name,
            peer_ur_ls: member.peer_urls,
            client_ur_ls: member.client_urls,
            is_learner: member.learner,
        }
    }
}

fn listed(members: Vec<MemberInfo>) -> Vec<pb::Member> {
    members.into_iter().map(pb::Member::from).collect()
}

fn check_urls(urls: &[String]) -> Result<(), Status> {
    if !urls.is_empty() && urls.iter().all(|url| is_url(url)) {
        Ok(())
    } else {
        Err(invalid("given member URLs are invalid"))
    }
}

#[tonic::async_trait]
impl Cluster for Service {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        let members = if request.into_inner().linearizable {
            self.store.current_members().await.map_err(status)?
        } else {
            self.store.members()
        };
        Ok(Response::new(pb::MemberListResponse { header: self.header(0), members: listed(members) }))
    }

    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        let pb::MemberAddRequest { peer_ur_ls, is_learner } = request.into_inner();
        check_urls(&peer_ur_ls)?;
        let added = self.store.member_add(peer_ur_ls, is_learner).await.map_err(status)?;
        let (header, members) = (self.header(0), listed(self.store.members()));
        Ok(Response::new(pb::MemberAddResponse { header, member: Some(added.into()), members }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        self.store.member_remove(request.into_inner().id).await.map_err(status)?;
        let members = listed(self.store.members());
        Ok(Response::new(pb::MemberRemoveResponse { header: self.header(0), members }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let pb::MemberUpdateRequest { id, peer_ur_ls } = request.into_inner();
        check_urls(&peer_ur_ls)?;
        let members = listed(self.store.member_update(id, peer_ur_ls).await.map_err(status)?);
        Ok(Response::new(pb::MemberUpdateResponse { header: self.header(0), members }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        self.store.member_promote(request.into_inner().id).await.map_err(status)?;
        let members = listed(self.store.members());
        Ok(Response::new(pb::MemberPromoteResponse { header: self.header(0), members }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_members_are_checked_as_etcd_checks_them() {
        let check = |url: &str| check_urls(&[url.to_owned()]).is_ok();
        assert!(check("http://127.0.0.1:2380") && check("https://[::1]:1"));
        for url in ["", "127.0.0.1:2380", "http://127.0.0.1", "ftp://a:1", "http://:1", "http://a:1/x"] {
            assert!(!check(url), "{url}");
        }
        assert!(check_urls(&[]).is_err());
    }
}
