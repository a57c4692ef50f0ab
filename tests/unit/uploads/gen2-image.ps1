Add-AzVhd -ResourceGroupName 'GROUP' -Location 'LOCATION' -DiskName 'web' -LocalFilePath 'web.vhd' -DiskOsType Linux -DiskHyperVGeneration V2
Add-AzVhd -ResourceGroupName 'GROUP' -Location 'LOCATION' -DiskName 'd0' -LocalFilePath 'd0.vhd'
Add-AzVhd -ResourceGroupName 'GROUP' -Location 'LOCATION' -DiskName 'd1' -LocalFilePath 'd1.vhd'
$osDisk = (Get-AzDisk -ResourceGroupName 'GROUP' -DiskName 'web').Id
$dataDisk0 = (Get-AzDisk -ResourceGroupName 'GROUP' -DiskName 'd0').Id
$dataDisk1 = (Get-AzDisk -ResourceGroupName 'GROUP' -DiskName 'd1').Id
New-AzGalleryImageDefinition -ResourceGroupName 'GROUP' -Location 'LOCATION' -GalleryName 'GALLERY' -Name 'web' -Publisher 'PUBLISHER' -Offer 'OFFER' -Sku 'SKU' -OsType Linux -OsState Generalized -HyperVGeneration V2 -Architecture 'x64' -Feature @(@{Name = 'SecurityType'; Value = 'TrustedLaunchSupported'}, @{Name = 'DiskControllerTypes'; Value = 'SCSI,NVMe'}, @{Name = 'IsAcceleratedNetworkSupported'; Value = 'True'})
$image = New-AzImageConfig -Location 'LOCATION' -HyperVGeneration V2
$image = Set-AzImageOsDisk -Image $image -OsType Linux -OsState Generalized -ManagedDiskId $osDisk
$image = Add-AzImageDataDisk -Image $image -Lun 0 -ManagedDiskId $dataDisk0
$image = Add-AzImageDataDisk -Image $image -Lun 1 -ManagedDiskId $dataDisk1
$image = New-AzImage -ResourceGroupName 'GROUP' -ImageName 'web' -Image $image
New-AzGalleryImageVersion -ResourceGroupName 'GROUP' -Location 'LOCATION' -GalleryName 'GALLERY' -GalleryImageDefinitionName 'web' -Name '1.0.0' -SourceImageId $image.Id -ReplicationMode Shallow
